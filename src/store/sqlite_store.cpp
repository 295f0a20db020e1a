// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite_store.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "store/backup.h"
#include "store/database.h"
#include "store/pool_writer.h"
#include "store/rows.h"
#include "store/schema.h"
#include "store/sealer.h"
#include "store/store_key.h"

namespace quipu::store {
namespace {

Result<void> load_books(Database& database, std::int64_t row, kms::StoredPool& out) {
  QUIPU_TRY_ASSIGN(Query query,
                   database.query("SELECT received, held, stock, leased, delivered, consumed, burnt, expired, voided, "
                                  "peer_instance FROM pools WHERE id = ?"));
  query.bind(row);
  QUIPU_TRY_ASSIGN(const bool found, query.step());
  if (!found) return fail(Errc::storage, "a pool's row is gone");
  kms::Books& books = out.books;
  std::uint64_t* const figures[] = {&books.received, &books.held,  &books.stock,   &books.leased, &books.delivered,
                                    &books.consumed, &books.burnt, &books.expired, &books.voided};
  int column = 0;
  for (std::uint64_t* const figure : figures)
    *figure = static_cast<std::uint64_t>(query.integer(column++));
  QUIPU_TRY_ASSIGN(const std::optional<Uuid> peer, decode_optional_id(query, column));
  if (peer) out.peer_instance = kms::InstanceId(*peer);
  return {};
}

Result<kms::SourceMark> read_mark(const Query& query) {
  QUIPU_TRY_ASSIGN(const std::uint64_t mark, decode_u64(query.blob(1)));
  return kms::SourceMark{std::string(query.text(0)), mark};
}

// What `sql` selects for the pool's row.
template <class Record>
Result<void> load_all(Database& database, const char* sql, std::int64_t row, Result<Record> (*read)(const Query&),
                      std::vector<Record>& out) {
  QUIPU_TRY_ASSIGN(Query query, database.query(sql));
  query.bind(row);
  for (;;) {
    QUIPU_TRY_ASSIGN(const bool more, query.step());
    if (!more) return {};
    QUIPU_TRY_ASSIGN(Record record, read(query));
    out.push_back(std::move(record));
  }
}

// A database of another program whose file says so is left as it is, with its log, which opening it to be written would
// work off. What else is wrong is found by opening it.
Result<void> refuse_foreign(const std::string& path) {
  Database database;
  if (!database.open_unchanged(path)) return {};
  const auto current = is_current(database);
  if (current || current.error().code != Errc::unsupported) return {};
  return std::unexpected(current.error());
}

}  // namespace

struct SqliteStore::Connection {
  explicit Connection(crypto::Rng& random) : rng(random) {}

  crypto::Rng& rng;
  Database database;
  std::optional<Sealer> sealer;        // once the store key is known to be right
  std::optional<Rewrapped> rewrapped;  // while the store key is being changed
  std::unique_ptr<Backup> backup;      // while one is made
  AuditLog audit{database};
};

SqliteStore::SqliteStore(std::unique_ptr<Connection> connection) : m_connection(std::move(connection)) {}

SqliteStore::~SqliteStore() {
  // Best effort: the next run begins with the same.
  [[maybe_unused]] const auto done = scrub();
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, Secret<32> store_key, crypto::Rng& rng,
                                                       std::optional<Secret<32>> previous_key) {
  auto connection = std::make_unique<Connection>(rng);
  QUIPU_TRY(refuse_foreign(path));
  QUIPU_TRY(connection->database.open(path));
  QUIPU_TRY(is_current(connection->database));
  QUIPU_TRY(connection->database.begin_wal());
  // Before anything is written: the disk may be full of it.
  Backup::discard(connection->database);
  QUIPU_TRY(check(connection->database));
  QUIPU_TRY(migrate(connection->database));
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(connection)));
  QUIPU_TRY(store->seal_with(std::move(store_key), std::move(previous_key)));
  QUIPU_TRY(store->scrub());
  return store;
}

Result<bool> SqliteStore::seal_with(Secret<32> store_key, std::optional<Secret<32>> previous_key) {
  Connection& to = *m_connection;
  Sealer sealer(std::move(store_key), std::move(previous_key), to.rng);
  QUIPU_TRY_ASSIGN(const bool changing, store::seal_with(to.database, sealer));
  if (!changing) sealer.forget_previous();
  to.sealer.emplace(std::move(sealer));
  to.rewrapped = changing ? std::optional(Rewrapped{}) : std::nullopt;
  return changing;
}

bool SqliteStore::key_changing() const {
  return m_connection->rewrapped.has_value();
}

Result<std::optional<KeyChanged>> SqliteStore::advance_key_change(const std::function<Result<void>()>& at_end) {
  Connection& in = *m_connection;
  QUIPU_ASSERT(key_changing());
  m_deleted = true;
  QUIPU_TRY(rewrap_part(in.database, *in.sealer, *in.rewrapped));
  if (!in.rewrapped->all) return std::optional<KeyChanged>();
  QUIPU_TRY_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(in.database));
  QUIPU_TRY(unmark_previous(in.database));
  QUIPU_TRY(at_end());
  QUIPU_TRY(transaction.commit());
  const KeyChanged changed{in.rewrapped->damaged};
  in.sealer->forget_previous();
  in.rewrapped.reset();
  return std::optional(changed);
}

Result<void> SqliteStore::begin_backup() {
  if (m_connection->backup) return fail(Errc::busy, "a backup is being made already; wait for it");
  auto begun = Backup::begin(m_connection->database);
  if (!begun) return fail_at(backup_path(), std::move(begun).error());
  m_connection->backup = *std::move(begun);
  return {};
}

Result<bool> SqliteStore::advance_backup() {
  auto complete = m_connection->backup->advance();
  if (!complete || *complete) m_connection->backup.reset();
  if (!complete) return fail_at(backup_path(), std::move(complete).error());
  return complete;
}

std::string SqliteStore::backup_path() const {
  return Backup::path_of(m_connection->database);
}

Result<void> SqliteStore::scrub() {
  if (!m_deleted) return {};
  QUIPU_TRY(m_connection->database.truncate_wal());
  m_deleted = false;
  return {};
}

AuditLog& SqliteStore::audit() {
  return m_connection->audit;
}

const std::string& SqliteStore::path() const {
  return m_connection->database.path();
}

Result<std::optional<std::int64_t>> SqliteStore::find_pool(const KmeId& pool) {
  if (const auto known = m_pools.find(pool); known != m_pools.end()) return std::optional(known->second);
  QUIPU_TRY_ASSIGN(Query query, m_connection->database.query("SELECT id FROM pools WHERE kme = ?"));
  query.bind(std::string_view(pool.value()));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  if (!row) return std::optional<std::int64_t>();
  return std::optional(m_pools[pool] = query.integer(0));
}

Result<std::int64_t> SqliteStore::make_pool(const KmeId& pool) {
  QUIPU_TRY_ASSIGN(const auto known, find_pool(pool));
  if (known) return *known;
  {
    QUIPU_TRY_ASSIGN(Query query, m_connection->database.query("INSERT INTO pools (kme) VALUES (?)"));
    query.bind(std::string_view(pool.value()));
    QUIPU_TRY(query.run());
  }
  QUIPU_TRY_ASSIGN(const auto made, find_pool(pool));
  return *made;
}

Result<void> SqliteStore::commit(const kms::Transaction& transaction) {
  Database& database = m_connection->database;
  QUIPU_TRY_ASSIGN(SqlTransaction guard, SqlTransaction::begin(database));
  // A row number of a transaction that is rolled back must not stay known.
  const bool known = m_pools.contains(transaction.pool);
  auto applied = [&]() -> Result<bool> {
    QUIPU_TRY_ASSIGN(const std::int64_t row, make_pool(transaction.pool));
    PoolWriter writer(database, *m_connection->sealer, transaction.pool, row);
    for (const kms::Change& change : transaction.changes)
      QUIPU_TRY(std::visit(writer, change));
    QUIPU_TRY(guard.commit());
    return writer.deleted();
  }();
  if (!applied && !known) m_pools.erase(transaction.pool);
  if (!applied) return std::unexpected(std::move(applied).error());
  m_deleted = m_deleted || *applied;
  return {};
}

Result<kms::StoredPool> SqliteStore::load(const KmeId& pool) {
  kms::StoredPool out;
  QUIPU_TRY_ASSIGN(const auto row, find_pool(pool));
  if (!row) return out;
  Database& database = m_connection->database;
  QUIPU_TRY(load_books(database, *row, out));
  QUIPU_TRY(load_all(database, "SELECT " QUIPU_BLOCK_COLUMNS " FROM blocks WHERE pool = ? AND state IN (1, 2)", *row,
                     read_block, out.blocks));
  QUIPU_TRY(
      load_all(database, "SELECT " QUIPU_LEASE_COLUMNS " FROM leases WHERE pool = ?", *row, read_lease, out.leases));
  QUIPU_TRY(load_all(database, "SELECT source, mark FROM source_marks WHERE pool = ?", *row, read_mark, out.marks));
  return out;
}

Result<std::optional<kms::BlockRecord>> SqliteStore::find_block(const KmeId& pool, const BlockId& id) {
  QUIPU_TRY_ASSIGN(const auto row, find_pool(pool));
  if (!row) return std::optional<kms::BlockRecord>();
  QUIPU_TRY_ASSIGN(Query query, m_connection->database.query("SELECT " QUIPU_BLOCK_COLUMNS
                                                             " FROM blocks WHERE pool = ? AND id = ?"));
  query.bind(*row, ByteView(id.value().octets));
  QUIPU_TRY_ASSIGN(const bool found, query.step());
  if (!found) return std::optional<kms::BlockRecord>();
  QUIPU_TRY_ASSIGN(kms::BlockRecord block, read_block(query));
  return std::optional(std::move(block));
}

Result<bool> SqliteStore::has_digest(const KmeId& pool, const kms::BlockDigest& digest) {
  QUIPU_TRY_ASSIGN(const auto row, find_pool(pool));
  if (!row) return false;
  QUIPU_TRY_ASSIGN(Query query,
                   m_connection->database.query("SELECT 1 FROM blocks WHERE pool = ? AND digest = ? LIMIT 1"));
  query.bind(*row, ByteView(digest));
  return query.step();
}

// Pools are few: one look into each index for every one of them.
Result<bool> SqliteStore::is_elsewhere(const KmeId& pool, const BlockId& id, const kms::BlockDigest& digest) {
  QUIPU_TRY_ASSIGN(
      Query query,
      m_connection->database.query(
          "SELECT 1 FROM pools CROSS JOIN blocks ON pool = pools.id WHERE kme != ?1 AND blocks.id = ?2 AND source NOT "
          "IN ('', ?4) UNION ALL SELECT 1 FROM pools CROSS JOIN blocks ON pool = pools.id WHERE kme != ?1 AND digest = "
          "?3 AND source != '' LIMIT 1"));
  query.bind(std::string_view(pool.value()), ByteView(id.value().octets), ByteView(digest), kms::kRelaySource);
  return query.step();
}

Result<bool> SqliteStore::is_retired(const KmeId& pool, const kms::InstanceId& instance) {
  QUIPU_TRY_ASSIGN(const auto row, find_pool(pool));
  if (!row) return false;
  QUIPU_TRY_ASSIGN(Query query,
                   m_connection->database.query("SELECT 1 FROM retired_instances WHERE pool = ? AND instance = ?"));
  query.bind(*row, ByteView(instance.value().octets));
  return query.step();
}

Result<SecretBytes> SqliteStore::read(const KmeId& pool, const BlockId& id, kms::Range range) {
  const auto gone = [] { return fail(Errc::not_found, "this key material is not in the store"); };
  QUIPU_TRY_ASSIGN(const auto row, find_pool(pool));
  if (!row || range.length == 0 || range.length > kms::kMaxBlockSize) return gone();
  SecretBytes out(range.length);
  const std::uint64_t end = std::uint64_t{range.offset} + range.length;
  for (std::uint64_t at = range.offset; at < end;) {
    const auto position = static_cast<std::uint32_t>(at / kms::kChunkSize * kms::kChunkSize);
    QUIPU_TRY_ASSIGN(Query query, m_connection->database.query("SELECT wrapped_key, sealed FROM chunks WHERE pool = ? "
                                                               "AND block = ? AND position = ?"));
    query.bind(*row, ByteView(id.value().octets), std::int64_t{position});
    QUIPU_TRY_ASSIGN(const bool found, query.step());
    if (!found) return gone();
    QUIPU_TRY_ASSIGN(const SecretBytes chunk,
                     m_connection->sealer->open({pool, id, position}, query.blob(0), query.blob(1)));
    const auto skip = static_cast<std::size_t>(at - position);
    if (skip >= chunk.size()) return gone();
    const std::size_t size = std::min<std::size_t>(chunk.size() - skip, static_cast<std::size_t>(end - at));
    std::ranges::copy(chunk.view().subspan(skip, size),
                      out.mutable_view().subspan(static_cast<std::size_t>(at - range.offset)).begin());
    at += size;
  }
  return out;
}

}  // namespace quipu::store
