// SPDX-License-Identifier: Apache-2.0
// A copy of the store without key material, made in parts while the store is in use. Inside src/store only.
#pragma once

#include <memory>
#include <string>

#include "store/database.h"

namespace quipu::store {

// What `database` has but for material, leases and the marks of store keys; it is a store of its own, which nobody has
// open. What could still be used counts as voided, or burnt where it was leased. Books, marks, instances and audit log
// are those of the moment of the last part; blocks that came meanwhile may be missing, as if they had come later.
class Backup {
 public:
  // Where the one of `database` will stand, beside it.
  static std::string path_of(const Database& database) { return database.path() + ".backup"; }

  // Removes the one that nobody has fetched, and what a process that was killed has left of one.
  static void discard(Database& database);

  // `database` outlives this, and has one at a time.
  static Result<std::unique_ptr<Backup>> begin(Database& database);

  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;
  // Leaves nothing of a copy that is not complete.
  ~Backup();

  // Copies a part. True when it was the last: the copy stands where it belongs (mode 0600; a file there is replaced),
  // durably. After an error it goes no further.
  Result<bool> advance();

 private:
  explicit Backup(Database& database)
      : m_database(database), m_path(path_of(database)), m_unfinished(m_path + ".new") {}

  Result<void> create();
  Result<void> attach();
  Result<bool> copy_part();
  Result<void> finish();
  void remove() const;

  Database& m_database;
  std::string m_path;
  std::string m_unfinished;
  bool m_attached = false;
};

}  // namespace quipu::store
