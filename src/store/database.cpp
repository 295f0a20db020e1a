// SPDX-License-Identifier: Apache-2.0
#include "store/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/assert.h"
#include "base/unique_fd.h"
#include "store/counting_vfs.h"
#include "store/durable_file.h"

namespace quipu::store {
namespace {

// What `synchronous = FULL` promises in WAL mode is what every rule of the KMS stands on: each commit is synced.
// Exclusive locking keeps a second process out, and needs no shared memory file.
constexpr const char* kPragmas[] = {
    "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA secure_delete = ON",  "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",     "PRAGMA temp_store = MEMORY", "PRAGMA cell_size_check = ON",
    "PRAGMA synchronous = FULL",
};

// Creates the file with our mode before SQLite does with its own; its companions take the mode from it.
Result<void> create_private(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (file) return sync_directory_of(path);
  if (errno == EACCES || errno == EROFS)
    return fail(Errc::not_permitted,
                path + ": not writable; the store needs a folder that belongs to the daemon's user");
  return std::unexpected(system_error(path));
}

// A folder may be reached by a symbolic link, as /var/lib often is; SQLite, told to follow none to the file, follows
// none on the way to it either.
Result<std::string> with_real_folder(const std::filesystem::path& path) {
  std::error_code error;
  const auto folder = std::filesystem::canonical(path.has_parent_path() ? path.parent_path() : ".", error);
  if (error) return fail_system(path.string() + ": its folder", error.value());
  return (folder / path.filename()).string();
}

// What means something else there, escaped.
std::string in_uri(std::string_view path) {
  std::string out;
  for (const char c : path)
    out += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", c) : std::string(1, c);
  return out;
}

}  // namespace

void Database::Close::operator()(sqlite3* connection) const {
  ::sqlite3_close_v2(connection);
}

void Database::Finalize::operator()(sqlite3_stmt* statement) const {
  ::sqlite3_finalize(statement);
}

Database::~Database() = default;

Error Database::error(int code, std::string_view what) const {
  const char* const reason = m_connection ? ::sqlite3_errmsg(m_connection.get()) : ::sqlite3_errstr(code);
  const std::string where = fmt::format("{}: {}: {}", m_path, what, reason);
  switch (code & 0xff) {
    case SQLITE_FULL: return {Errc::exhausted, where + "; free some space on that file system"};
    case SQLITE_NOMEM: return {Errc::exhausted, where + "; free some memory, or give the daemon more"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return {Errc::busy, where + "; another process has the store open, stop it first"};
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return {Errc::not_permitted, where + "; the store and its folder have to belong to the daemon's user"};
    // The contents of the file are not what we wrote, which is so the next time, too.
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return {Errc::storage, where};
    default: return {Errc::io, where};
  }
}

Result<void> Database::connect(const std::string& name, int flags) {
  sqlite3* connection = nullptr;
  constexpr int kAlways = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW;
  const int code = ::sqlite3_open_v2(name.c_str(), &connection, flags | kAlways, counting_vfs());
  m_connection.reset(connection);
  if (code != SQLITE_OK) return std::unexpected(error(code, "open"));
  ::sqlite3_extended_result_codes(connection, 1);
  return {};
}

Result<void> Database::open_unchanged(const std::string& path) {
  QUIPU_TRY_ASSIGN(m_path, with_real_folder(path));
  QUIPU_TRY(connect("file:" + in_uri(m_path) + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI));
  for (const char* const pragma : {"PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON"})
    QUIPU_TRY(execute(pragma));
  return {};
}

Result<void> Database::open(const std::string& path) {
  QUIPU_TRY(create_private(path));
  QUIPU_TRY_ASSIGN(m_path, with_real_folder(path));
  QUIPU_TRY(connect(m_path, SQLITE_OPEN_READWRITE));
  for (const char* const pragma : kPragmas)
    QUIPU_TRY(execute(pragma));
  return {};
}

Result<void> Database::begin_wal() {
  {
    QUIPU_TRY_ASSIGN(Query mode, query("PRAGMA journal_mode = WAL"));
    QUIPU_TRY_ASSIGN(const bool row, mode.step());
    if (!row || mode.text(0) != "wal")
      return fail(Errc::not_permitted,
                  m_path + ": this file system cannot hold a write-ahead log; put the store on a local one");
  }
  // Takes the exclusive lock now, and not at the first commit.
  QUIPU_TRY(execute("BEGIN EXCLUSIVE"));
  return execute("COMMIT");
}

Result<Query> Database::query(const char* sql) {
  auto& kept = m_statements[sql];
  if (!kept) {
    sqlite3_stmt* statement = nullptr;
    const int code = ::sqlite3_prepare_v3(m_connection.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return std::unexpected(error(code, "prepare"));
    kept.reset(statement);
  }
  QUIPU_ASSERT(::sqlite3_stmt_busy(kept.get()) == 0);
  return Query(*this, kept.get());
}

Result<void> Database::execute(const char* sql) {
  if (const int code = ::sqlite3_exec(m_connection.get(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
    return std::unexpected(error(code, "write"));
  return {};
}

Result<void> Database::truncate_wal() {
  const int code =
      ::sqlite3_wal_checkpoint_v2(m_connection.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code, "checkpoint"));
  return {};
}

Query::Query(Query&& other) noexcept
    : m_database(other.m_database),
      m_statement(std::exchange(other.m_statement, nullptr)),
      m_next(other.m_next),
      m_error(other.m_error) {}

Query::~Query() {
  if (m_statement == nullptr) return;
  ::sqlite3_reset(m_statement);
  ::sqlite3_clear_bindings(m_statement);
}

void Query::bind_next(std::int64_t value) {
  if (const int code = ::sqlite3_bind_int64(m_statement, m_next++, value); code != SQLITE_OK) m_error = code;
}

void Query::bind_next(std::string_view value) {
  const int code = ::sqlite3_bind_text64(m_statement, m_next++, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) m_error = code;
}

void Query::bind_next(ByteView value) {
  // A null pointer would bind NULL.
  static constexpr std::uint8_t kNothing = 0;
  const void* const data = value.empty() ? &kNothing : value.data();
  const int code = ::sqlite3_bind_blob64(m_statement, m_next++, data, value.size(), SQLITE_STATIC);
  if (code != SQLITE_OK) m_error = code;
}

void Query::bind_next(std::nullopt_t /*null*/) {
  if (const int code = ::sqlite3_bind_null(m_statement, m_next++); code != SQLITE_OK) m_error = code;
}

Result<bool> Query::step() {
  if (m_error != SQLITE_OK) return std::unexpected(m_database->error(m_error, "bind"));
  const int code = ::sqlite3_step(m_statement);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  if (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE)
    return fail(Errc::duplicate, ::sqlite3_errmsg(::sqlite3_db_handle(m_statement)));
  return std::unexpected(m_database->error(code, "write"));
}

Result<std::int64_t> Query::run() {
  QUIPU_TRY_ASSIGN(const bool row, step());
  QUIPU_ASSERT(!row);
  return ::sqlite3_changes64(::sqlite3_db_handle(m_statement));
}

bool Query::is_null(int column) const {
  return ::sqlite3_column_type(m_statement, column) == SQLITE_NULL;
}

std::int64_t Query::integer(int column) const {
  return ::sqlite3_column_int64(m_statement, column);
}

std::string_view Query::text(int column) const {
  return as_text(blob(column));
}

ByteView Query::blob(int column) const {
  const void* const data = ::sqlite3_column_blob(m_statement, column);
  const int size = ::sqlite3_column_bytes(m_statement, column);
  return {static_cast<const std::uint8_t*>(data), data == nullptr ? 0U : static_cast<std::size_t>(size)};
}

Result<SqlTransaction> SqlTransaction::begin(Database& database) {
  QUIPU_TRY(database.execute("BEGIN IMMEDIATE"));
  return SqlTransaction(database);
}

SqlTransaction::~SqlTransaction() {
  if (m_database == nullptr) return;
  // Fails where SQLite has rolled back by itself, and that is as good.
  [[maybe_unused]] const auto done = m_database->execute("ROLLBACK");
}

Result<void> SqlTransaction::commit() {
  QUIPU_TRY(m_database->execute("COMMIT"));
  m_database = nullptr;
  return {};
}

}  // namespace quipu::store
