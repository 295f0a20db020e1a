// SPDX-License-Identifier: Apache-2.0
#include "store/backup.h"

#include <unistd.h>

#include <utility>

#include "store/durable_file.h"
#include "store/schema.h"

namespace quipu::store {
namespace {

// A part: some 20 ms.
constexpr std::int64_t kPartRows = 1'024;
constexpr std::int64_t kPartOctets = std::int64_t{1} << 20U;

// With each part, so that no block is without its pool; and what the store has dropped of its audit log meanwhile goes
// here, too, or the rest would not hold together.
constexpr const char* kKeepUp =
    "INSERT OR IGNORE INTO backup.pools (id, kme) SELECT id, kme FROM main.pools;"
    "DELETE FROM backup.audit WHERE number < (SELECT min(number) FROM main.audit);";

// Behind the last of both that the copy has.
constexpr const char* kLastBlock = "SELECT pool, id FROM backup.blocks ORDER BY pool DESC, id DESC LIMIT 1";
constexpr const char* kCopyBlocks =
    "INSERT INTO backup.blocks (pool, id, state, digest, length, source, sequence, simulated, arrived, spent) "
    "SELECT pool, id, iif(state IN (1, 2), 4, state), digest, length, source, sequence, simulated, arrived, spent "
    "FROM main.blocks WHERE (pool, id) > (?, ?) ORDER BY pool, id LIMIT ?";
constexpr const char* kNextPages =
    "SELECT number, length(CAST(text AS BLOB)) FROM main.audit "
    "WHERE number > (SELECT coalesce(max(number), 0) FROM backup.audit) ORDER BY number LIMIT ?";
constexpr const char* kCopyPages =
    "INSERT INTO backup.audit (number, written, previous, text, hash) SELECT number, written, previous, text, hash "
    "FROM main.audit WHERE number > (SELECT coalesce(max(number), 0) FROM backup.audit) AND number <= ?";

// With the last part.
constexpr const char* kCopyRest =
    "UPDATE backup.pools SET (peer_instance, received, delivered, consumed, burnt, expired, voided) = (SELECT "
    "peer_instance, received, delivered, consumed, burnt + leased, expired, voided + held + stock FROM main.pools AS "
    "now "
    "WHERE now.id = pools.id);"
    "INSERT INTO backup.retired_instances SELECT * FROM main.retired_instances;"
    "INSERT INTO backup.source_marks SELECT * FROM main.source_marks;";

constexpr const char* kCompanions[] = {"", "-wal", "-journal"};

// True when these were the last.
Result<bool> copy_blocks(Database& database) {
  std::int64_t pool = 0;
  Bytes id;
  {
    QUIPU_TRY_ASSIGN(Query last, database.query(kLastBlock));
    QUIPU_TRY_ASSIGN(const bool row, last.step());
    if (row) {
      pool = last.integer(0);
      id.assign(last.blob(1).begin(), last.blob(1).end());
    }
  }
  QUIPU_TRY_ASSIGN(Query copy, database.query(kCopyBlocks));
  copy.bind(pool, ByteView(id), kPartRows);
  QUIPU_TRY_ASSIGN(const std::int64_t copied, copy.run());
  return copied < kPartRows;
}

// As above.
Result<bool> copy_pages(Database& database) {
  std::int64_t until = 0;
  std::int64_t rows = 0;
  bool more = true;
  {
    QUIPU_TRY_ASSIGN(Query next, database.query(kNextPages));
    next.bind(kPartRows);
    for (std::int64_t octets = 0; octets < kPartOctets; ++rows) {
      QUIPU_TRY_ASSIGN(more, next.step());
      if (!more) break;
      until = next.integer(0);
      octets += next.integer(1);
    }
  }
  QUIPU_TRY_ASSIGN(Query copy, database.query(kCopyPages));
  copy.bind(until);
  QUIPU_TRY(copy.run());
  return !more && rows < kPartRows;
}

// No WAL, which a last checkpoint would have to empty, and no journal: a copy that fails is thrown away.
Result<void> without_journal(Database& database) {
  QUIPU_TRY_ASSIGN(Query query, database.query("PRAGMA backup.journal_mode = MEMORY"));
  QUIPU_TRY_ASSIGN(const bool answered, query.step());
  if (!answered || query.text(0) != "memory") return fail(Errc::storage, "the backup cannot do without a WAL");
  return {};
}

}  // namespace

void Backup::discard(Database& database) {
  const Backup left(database);  // never finished
  ::unlink(left.m_path.c_str());
}

Result<std::unique_ptr<Backup>> Backup::begin(Database& database) {
  std::unique_ptr<Backup> backup(new Backup(database));
  QUIPU_TRY(backup->create());
  QUIPU_TRY(backup->attach());
  return backup;
}

Backup::~Backup() {
  if (m_attached) {
    [[maybe_unused]] const auto detached = m_database.execute("DETACH backup");
  }
  remove();
}

void Backup::remove() const {
  for (const char* const companion : kCompanions)
    ::unlink((m_unfinished + companion).c_str());
}

// An empty store, with the same tables.
Result<void> Backup::create() {
  Database fresh;
  QUIPU_TRY(fresh.open(m_unfinished));
  QUIPU_TRY(fresh.begin_wal());
  return migrate(fresh);
}

Result<void> Backup::attach() {
  {
    QUIPU_TRY_ASSIGN(Query attach, m_database.query("ATTACH ? AS backup"));
    attach.bind(std::string_view(m_unfinished));
    QUIPU_TRY(attach.run());
  }
  m_attached = true;
  return without_journal(m_database);
}

Result<bool> Backup::advance() {
  QUIPU_TRY_ASSIGN(const bool complete, copy_part());
  if (complete) QUIPU_TRY(finish());
  return complete;
}

Result<bool> Backup::copy_part() {
  QUIPU_TRY_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(m_database));
  QUIPU_TRY(m_database.execute(kKeepUp));
  QUIPU_TRY_ASSIGN(const bool all_blocks, copy_blocks(m_database));
  QUIPU_TRY_ASSIGN(const bool all_pages, copy_pages(m_database));
  const bool complete = all_blocks && all_pages;
  if (complete) QUIPU_TRY(m_database.execute(kCopyRest));
  QUIPU_TRY(transaction.commit());
  return complete;
}

Result<void> Backup::finish() {
  QUIPU_TRY(m_database.execute("DETACH backup"));
  m_attached = false;
  if (::rename(m_unfinished.c_str(), m_path.c_str()) != 0) return fail_system(m_path);
  return sync_directory_of(m_path);
}

}  // namespace quipu::store
