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

// False when neither key opens it.
Result<bool> rewrap(Database& database, Sealer& sealer, const WrappedKey& chunk) {
  auto wrapped = sealer.rewrap({chunk.pool, chunk.block, chunk.position}, chunk.wrapped);
  if (!wrapped && wrapped.error().code == Errc::authentication) return false;
  if (!wrapped) return std::unexpected(std::move(wrapped).error());
  if (!*wrapped) return true;
  QUIPU_TRY_ASSIGN(Query query, database.query("UPDATE chunks SET wrapped_key = ? WHERE rowid = ?"));
  query.bind(ByteView(**wrapped), chunk.row);
  QUIPU_TRY(query.run());
  return true;
}

struct Marks {
  Bytes current;
  std::optional<Bytes> previous;  // while a change is under way
};

// Nothing in a new store.
Result<std::optional<Marks>> read_marks(Database& database) {
  QUIPU_TRY_ASSIGN(Query query, database.query("SELECT check_value, previous_check FROM store_key WHERE id = 1"));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  if (!row) return std::optional<Marks>();
  const auto value = [&](int column) { return Bytes(query.blob(column).begin(), query.blob(column).end()); };
  return std::optional(Marks{value(0), query.is_null(1) ? std::nullopt : std::optional(value(1))});
}

Result<void> mark(Database& database, Sealer& sealer, const std::optional<Marks>& before) {
  QUIPU_TRY_ASSIGN(const Bytes value, sealer.make_check());
  QUIPU_TRY_ASSIGN(
      Query query,
      database.query("INSERT OR REPLACE INTO store_key (id, check_value, previous_check) VALUES (1, ?, ?)"));
  query.bind(ByteView(value), before.transform([](const Marks& marks) { return ByteView(marks.current); }));
  QUIPU_TRY(query.run());
  return {};
}

std::unexpected<Error> no_key_fits() {
  return fail(Errc::bad_key,
              "the store was sealed with another store key; give back the key file that it was made with (to change "
              "the key, name the old one's file as kme.previous_store_key_file), or move the store away: the pools "
              "fill again from their links");
}

std::unexpected<Error> both_needed() {
  return fail(Errc::bad_key,
              "the change of the store key was interrupted, and both keys are needed until it is done: name the new "
              "one's file as kme.store_key_file, and the old one's as kme.previous_store_key_file");
}

// What a store needs of keys that fit it.
enum class Fit : std::uint8_t { marked, changing, to_be_marked };

Result<Fit> fit_of(const std::optional<Marks>& marks, const Sealer& sealer) {
  if (marks && sealer.is_check(marks->current)) {
    if (!marks->previous) return Fit::marked;
    if (!sealer.is_previous_check(*marks->previous)) return both_needed();
    return Fit::changing;
  }
  if (marks && !sealer.is_previous_check(marks->current)) {
    if (marks->previous && sealer.is_check(*marks->previous)) return both_needed();
    return no_key_fits();
  }
  // Back to the key of before, too, where a change to another one was interrupted.
  if (marks && marks->previous && !sealer.is_check(*marks->previous)) return both_needed();
  return Fit::to_be_marked;
}

}  // namespace

Result<void> check_fits(Database& database, const Sealer& sealer) {
  QUIPU_TRY_ASSIGN(const auto marks, read_marks(database));
  const auto fit = fit_of(marks, sealer);
  return fit ? Result<void>() : fail_at(database.path(), fit.error());
}

Result<bool> seal_with(Database& database, Sealer& sealer) {
  QUIPU_TRY_ASSIGN(const auto marks, read_marks(database));
  const auto fit = fit_of(marks, sealer);
  if (!fit) return fail_at(database.path(), fit.error());
  if (*fit != Fit::to_be_marked) return *fit == Fit::changing;
  QUIPU_TRY(mark(database, sealer, marks));
  return marks.has_value();
}

Result<void> rewrap_part(Database& database, Sealer& sealer, Rewrapped& progress) {
  constexpr int kPart = 512;  // chunks: some 10 ms
  Rewrapped next = progress;
  QUIPU_TRY_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database));
  for (int done = 0; done < kPart && !next.all; ++done) {
    QUIPU_TRY_ASSIGN(const auto chunk, next_wrapped(database, next.row));
    next.all = !chunk;
    if (!chunk) continue;
    next.row = chunk->row;
    QUIPU_TRY_ASSIGN(const bool opened, rewrap(database, sealer, *chunk));
    if (!opened) ++next.damaged;
  }
  QUIPU_TRY(transaction.commit());
  progress = next;
  return {};
}

Result<void> unmark_previous(Database& database) {
  return database.execute("UPDATE store_key SET previous_check = NULL");
}

}  // namespace quipu::store
