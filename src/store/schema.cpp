// SPDX-License-Identifier: Apache-2.0
#include "store/schema.h"

#include <fmt/format.h>

#include <array>

namespace quipu::store {
namespace {

// Marks the file as ours: "QPKS".
constexpr std::int64_t kApplicationId = 0x51504b53;

// Element i makes version i + 1 of version i. Never changed once released: a new version is a new element.
// 64-bit numbers that SQLite's signed ones cannot hold (sequence, mark) are blobs of 8 octets, big-endian, which
// compare as the numbers do. Lists inside a row are blobs of fixed-size elements (rows.h).
constexpr std::array kMigrations = {
    R"sql(
CREATE TABLE store_key (                     -- one row: proves that the right store key was given
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  check_value BLOB NOT NULL
);
CREATE TABLE pools (
  id        INTEGER PRIMARY KEY,
  kme       TEXT NOT NULL UNIQUE,
  peer_instance BLOB,
  received  INTEGER NOT NULL DEFAULT 0,
  held      INTEGER NOT NULL DEFAULT 0,
  stock     INTEGER NOT NULL DEFAULT 0,
  leased    INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0,
  burnt     INTEGER NOT NULL DEFAULT 0,
  voided    INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE blocks (
  pool      INTEGER NOT NULL REFERENCES pools (id),
  id        BLOB NOT NULL,
  state     INTEGER NOT NULL,
  digest    BLOB NOT NULL,
  length    INTEGER NOT NULL,
  source    TEXT NOT NULL,
  sequence  BLOB,
  simulated INTEGER NOT NULL,
  arrived   INTEGER NOT NULL,                -- milliseconds since 1970
  spent     BLOB NOT NULL,
  PRIMARY KEY (pool, id)
) WITHOUT ROWID;
CREATE INDEX blocks_by_digest ON blocks (pool, digest);
CREATE INDEX blocks_live ON blocks (pool) WHERE state IN (1, 2);
CREATE INDEX blocks_ended ON blocks (pool, source, sequence, arrived) WHERE state IN (3, 4);
CREATE TABLE chunks (
  pool        INTEGER NOT NULL,
  block       BLOB NOT NULL,
  position    INTEGER NOT NULL,              -- octet of the block at which it begins
  wrapped_key BLOB NOT NULL,                 -- the chunk's own key under the store key
  sealed      BLOB NOT NULL,
  PRIMARY KEY (pool, block, position),
  FOREIGN KEY (pool, block) REFERENCES blocks (pool, id)
);
CREATE TABLE leases (
  pool            INTEGER NOT NULL REFERENCES pools (id),
  id              BLOB NOT NULL,
  holder          INTEGER NOT NULL,
  holder_instance BLOB NOT NULL,
  opener_instance BLOB,
  extents         BLOB NOT NULL,
  key_ids         BLOB NOT NULL,
  closed_here     INTEGER NOT NULL,
  closed_there    INTEGER NOT NULL,
  PRIMARY KEY (pool, id)
) WITHOUT ROWID;
CREATE TABLE retired_instances (
  pool     INTEGER NOT NULL REFERENCES pools (id),
  instance BLOB NOT NULL,
  PRIMARY KEY (pool, instance)
) WITHOUT ROWID;
CREATE TABLE source_marks (
  pool   INTEGER NOT NULL REFERENCES pools (id),
  source TEXT NOT NULL,
  mark   BLOB NOT NULL,
  PRIMARY KEY (pool, source)
) WITHOUT ROWID;
)sql",
    R"sql(
ALTER TABLE retired_instances ADD COLUMN number INTEGER NOT NULL DEFAULT 0;  -- in the order of retiring
CREATE INDEX retired_by_number ON retired_instances (pool, number);
)sql",
    R"sql(
CREATE TABLE audit (
  number   INTEGER PRIMARY KEY,              -- from 1, without a gap
  written  INTEGER NOT NULL,                 -- milliseconds since 1970
  previous BLOB NOT NULL,                    -- hash of the page before
  text     TEXT NOT NULL,
  hash     BLOB NOT NULL
);
)sql",
    // What version 3 had delivered or burnt stays so.
    R"sql(
ALTER TABLE pools ADD COLUMN consumed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pools ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
ALTER TABLE store_key ADD COLUMN previous_check BLOB;  -- while chunks may be left that the key before has wrapped
)sql",
};

Result<std::int64_t> read_pragma(Database& database, const char* sql) {
  QUIPU_TRY_ASSIGN(Query query, database.query(sql));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  return row ? query.integer(0) : 0;
}

constexpr auto kVersion = static_cast<std::int64_t>(kMigrations.size());

// 0: of an empty file.
Result<std::int64_t> read_version(Database& database) {
  QUIPU_TRY_ASSIGN(const std::int64_t application, read_pragma(database, "PRAGMA application_id"));
  QUIPU_TRY_ASSIGN(const std::int64_t version, read_pragma(database, "PRAGMA user_version"));
  QUIPU_TRY_ASSIGN(const std::int64_t tables, read_pragma(database, "SELECT count(*) FROM sqlite_schema"));
  const bool fresh = application == 0 && version == 0 && tables == 0;
  if (!fresh && application != kApplicationId)
    return fail(Errc::unsupported,
                database.path() + ": the file is a database of another program; name another file as the store");
  if (version < 0 || version > kVersion)
    return fail(Errc::unsupported,
                fmt::format("{}: the store is of version {}, this program knows {}; install the release that wrote it",
                            database.path(), version, kVersion));
  return version;
}

// One table at a time: the whole file can only be checked with all of its tables. The free pages are checked with the
// schema. Indices are compared with their tables: a pool that its index does not name would be taken for a new one, and
// such a chunk never erased. Not those of the blocks' records, of which there may be millions: there a damaged entry
// hides one record from whoever looks for it, until a change of that record meets it.
constexpr const char* kCheck =
    "SELECT name, quick_check AS finding FROM sqlite_schema CROSS JOIN pragma_quick_check(name) "
    "WHERE type = 'table' AND name = 'blocks' AND finding != 'ok' UNION ALL "
    "SELECT name, integrity_check AS finding FROM (SELECT 'sqlite_schema' AS name UNION ALL "
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('audit', 'blocks')) "
    "CROSS JOIN pragma_integrity_check(name) WHERE finding != 'ok' LIMIT 1";

}  // namespace

Result<void> check(Database& database) {
  QUIPU_TRY_ASSIGN(Query query, database.query(kCheck));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  if (!row) return {};
  const std::string where = fmt::format("{}: its table {}", database.path(), query.text(0));
  // A page that could not be read, for want of memory or because of the disk, counts as a finding as well: "failed to
  // get page 7", "unable to get the page".
  if (query.text(1).contains(" to get ")) return fail(Errc::io, where + " cannot be read; look after memory and disk");
  return fail(Errc::storage, where + " is damaged");
}

Result<bool> is_current(Database& database) {
  QUIPU_TRY_ASSIGN(const std::int64_t version, read_version(database));
  return version == kVersion;
}

Result<void> migrate(Database& database) {
  QUIPU_TRY_ASSIGN(const std::int64_t version, read_version(database));
  if (version == kVersion) return {};
  QUIPU_TRY_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database));
  for (auto step = static_cast<std::size_t>(version); step < kMigrations.size(); ++step)
    QUIPU_TRY(database.execute(kMigrations[step]));
  QUIPU_TRY(database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str()));
  QUIPU_TRY(database.execute(fmt::format("PRAGMA user_version = {}", kVersion).c_str()));
  return transaction.commit();
}

}  // namespace quipu::store
