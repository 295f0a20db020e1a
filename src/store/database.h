// SPDX-License-Identifier: Apache-2.0
// SQLite behind values that clean up after themselves, and errors that say what to do. Inside src/store only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace quipu::store {

class Database;

// One run of a statement. What is bound must outlive the run: nothing is copied. Errors of binding come out at step().
class Query {
 public:
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();

  // Parameters in order.
  template <class... Values>
  Query& bind(const Values&... values) {
    (bind_next(values), ...);
    return *this;
  }

  // True when there is a row, false at the end.
  Result<bool> step();
  // For statements without rows; the number of rows that it changed.
  Result<std::int64_t> run();

  // Columns of the present row, from 0. Views live until the next step.
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  ByteView blob(int column) const;

 private:
  friend class Database;

  Query(Database& database, sqlite3_stmt* statement) : m_database(&database), m_statement(statement) {}

  void bind_next(std::int64_t value);
  void bind_next(std::string_view value);
  void bind_next(ByteView value);
  void bind_next(std::nullopt_t);

  template <class T>
  void bind_next(const std::optional<T>& value) {
    if (value)
      bind_next(*value);
    else
      bind_next(std::nullopt);
  }

  Database* m_database;
  sqlite3_stmt* m_statement;
  int m_next = 1;
  int m_error = 0;
};

// One connection. Not movable: queries point to it.
class Database {
 public:
  Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Opens or creates `path` (mode 0600): synchronous = FULL, secure_delete, foreign keys, no temporary files. Nothing
  // is written yet into a file that is there.
  Result<void> open(const std::string& path);
  // The file is this process's alone from here on, and has a WAL: Errc::busy when another has it open.
  Result<void> begin_wal();

  // Opens `path` to be read as it is, whoever has it open: without its write-ahead log, and without a lock or a
  // companion of its own. What is read while another writes may be damaged.
  Result<void> open_unchanged(const std::string& path);

  const std::string& path() const { return m_path; }

  // A statement; prepared at its first use, kept for the next. `sql` is a literal, and never in use twice at a time.
  Result<Query> query(const char* sql);
  // Statements without parameters or rows.
  Result<void> execute(const char* sql);

  // Writes all of the WAL into the file and cuts it to no length.
  Result<void> truncate_wal();

  // The error that the last call left, for `what`.
  Error error(int code, std::string_view what) const;

 private:
  // `name`: a file, or a URI.
  Result<void> connect(const std::string& name, int flags);

  struct Close {
    void operator()(sqlite3* connection) const;
  };

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  std::string m_path;
  std::unique_ptr<sqlite3, Close> m_connection;
  std::map<std::string_view, std::unique_ptr<sqlite3_stmt, Finalize>> m_statements;  // by their text
};

// Rolls back unless committed.
class SqlTransaction {
 public:
  static Result<SqlTransaction> begin(Database& database);

  SqlTransaction(const SqlTransaction&) = delete;
  SqlTransaction& operator=(const SqlTransaction&) = delete;

  SqlTransaction(SqlTransaction&& other) noexcept : m_database(std::exchange(other.m_database, nullptr)) {}

  SqlTransaction& operator=(SqlTransaction&&) = delete;
  ~SqlTransaction();

  // Durable when this returns success.
  Result<void> commit();

 private:
  explicit SqlTransaction(Database& database) : m_database(&database) {}

  Database* m_database;
};

}  // namespace quipu::store
