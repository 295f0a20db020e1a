// SPDX-License-Identifier: Apache-2.0
#include "store/backup.h"

#include <unistd.h>

#include <utility>

#include "store/schema.h"

namespace quipu::store {
namespace {

constexpr const char* kCopy =
    "INSERT INTO backup.pools SELECT * FROM main.pools;"
    "INSERT INTO backup.blocks SELECT * FROM main.blocks;"
    "INSERT INTO backup.retired_instances SELECT * FROM main.retired_instances;"
    "INSERT INTO backup.source_marks SELECT * FROM main.source_marks;"
    "INSERT INTO backup.audit SELECT * FROM main.audit;"
    "UPDATE backup.blocks SET state = 4 WHERE state IN (1, 2);"
    "UPDATE backup.pools SET voided = voided + held + stock, burnt = burnt + leased, held = 0, stock = 0, leased = 0;";

constexpr const char* kCompanions[] = {"", "-wal", "-journal"};

// An empty store, with the same tables.
Result<void> create(const std::string& path) {
  for (const char* const companion : kCompanions)
    if (::unlink((path + companion).c_str()) != 0 && errno != ENOENT) return fail_system(path + companion);
  Database fresh;
  QUIPU_TRY(fresh.open(path));
  return migrate(fresh);
}

// A journal that is gone when the transaction ends: nothing of the copy is left to a checkpoint whose errors nobody
// hears of.
Result<void> without_wal(Database& database) {
  QUIPU_TRY_ASSIGN(Query query, database.query("PRAGMA backup.journal_mode = DELETE"));
  QUIPU_TRY_ASSIGN(const bool answered, query.step());
  if (!answered || query.text(0) != "delete") return fail(Errc::storage, "the backup cannot do without a WAL");
  return {};
}

Result<void> copy(Database& database) {
  QUIPU_TRY(without_wal(database));
  QUIPU_TRY_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database));
  QUIPU_TRY(database.execute(kCopy));
  return transaction.commit();
}

Result<void> copy_attached(Database& database, const std::string& path) {
  {
    QUIPU_TRY_ASSIGN(Query attach, database.query("ATTACH ? AS backup"));
    attach.bind(std::string_view(path));
    QUIPU_TRY(attach.run());
  }
  auto done = copy(database);
  if (auto detached = database.execute("DETACH backup"); done) done = std::move(detached);
  return done;
}

}  // namespace

Result<void> back_up(Database& database, const std::string& path) {
  auto done = create(path);
  if (done) done = copy_attached(database, path);
  if (!done)
    for (const char* const companion : kCompanions)
      ::unlink((path + companion).c_str());
  return done;
}

}  // namespace quipu::store
