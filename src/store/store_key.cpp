// SPDX-License-Identifier: Apache-2.0
#include "store/store_key.h"

#include "store/rows.h"

namespace quipu::store {
namespace {

struct WrappedKey {
  std::int64_t row = 0;
  KmeId pool;
  BlockId block;
  std::uint32_t position = 0;
  Bytes wrapped;
};

// Of the chunk behind that row; nothing behind the last.
Result<std::optional<WrappedKey>> next_wrapped(Database& database, std::int64_t after) {
  QUIPU_TRY_ASSIGN(Query query, database.query("SELECT chunks.rowid, kme, block, position, wrapped_key FROM chunks "
                                               "JOIN pools ON pools.id = pool WHERE chunks.rowid > ? "
                                               "ORDER BY chunks.rowid LIMIT 1"));
  query.bind(after);
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  if (!row) return std::optional<WrappedKey>();
  QUIPU_TRY_ASSIGN(const Uuid block, decode_id(query.blob(2)));
  const ByteView wrapped = query.blob(4);
  return std::optional(WrappedKey{query.integer(0), KmeId(std::string(query.text(1))), BlockId(block),
                                  static_cast<std::uint32_t>(query.integer(3)), Bytes(wrapped.begin(), wrapped.end())});
}

Result<void> rewrap_chunks(Database& database, Sealer& current, const Sealer& previous) {
  for (std::int64_t last = 0;;) {
    QUIPU_TRY_ASSIGN(const auto chunk, next_wrapped(database, last));
    if (!chunk) return {};
    last = chunk->row;
    QUIPU_TRY_ASSIGN(const Bytes wrapped,
                     current.rewrap({chunk->pool, chunk->block, chunk->position}, chunk->wrapped, previous));
    QUIPU_TRY_ASSIGN(Query query, database.query("UPDATE chunks SET wrapped_key = ? WHERE rowid = ?"));
    query.bind(ByteView(wrapped), last);
    QUIPU_TRY(query.run());
  }
}

Result<void> mark(Database& database, Sealer& current) {
  QUIPU_TRY_ASSIGN(const Bytes value, current.make_check());
  QUIPU_TRY_ASSIGN(Query query, database.query("INSERT OR REPLACE INTO store_key (id, check_value) VALUES (1, ?)"));
  query.bind(ByteView(value));
  QUIPU_TRY(query.run());
  return {};
}

// Empty in a new store.
Result<std::optional<Bytes>> check_value(Database& database) {
  QUIPU_TRY_ASSIGN(Query query, database.query("SELECT check_value FROM store_key WHERE id = 1"));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  if (!row) return std::optional<Bytes>();
  const ByteView value = query.blob(0);
  return std::optional(Bytes(value.begin(), value.end()));
}

}  // namespace

Result<bool> seal_with(Database& database, Sealer& current, const Sealer* previous) {
  QUIPU_TRY_ASSIGN(const auto value, check_value(database));
  if (value && current.is_check(*value)) return false;
  const bool changes = value && previous != nullptr && previous->is_check(*value);
  if (value && !changes)
    return fail(Errc::bad_key,
                "the store was sealed with another store key; give back the key file that it was made with (to change "
                "the key, name the old one's file as kme.previous_store_key_file), or move the store away: the pools "
                "fill again from their links");
  QUIPU_TRY_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database));
  if (changes) QUIPU_TRY(rewrap_chunks(database, current, *previous));
  QUIPU_TRY(mark(database, current));
  QUIPU_TRY(transaction.commit());
  return changes;
}

}  // namespace quipu::store
