// SPDX-License-Identifier: Apache-2.0
#include "store/counting_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <map>

#include "base/assert.h"

namespace quipu::store {
namespace {

// Those of one kind of file, as SQLite has them, but for the call that syncs.
struct CountingMethods : sqlite3_io_methods {
  explicit CountingMethods(const sqlite3_io_methods& methods);

  decltype(sqlite3_io_methods::xSync) own_sync;
};

// SQLite knows its ways by name and for the whole process, so there is one.
struct CountingVfs : sqlite3_vfs {
  CountingVfs();

  sqlite3_vfs* own;
  std::map<const sqlite3_io_methods*, CountingMethods> methods;
  std::atomic<std::uint64_t> syncs = 0;
};

CountingVfs& instance() {
  static CountingVfs vfs;
  return vfs;
}

int counted_sync(sqlite3_file* file, int flags) {
  ++instance().syncs;
  return static_cast<const CountingMethods*>(file->pMethods)->own_sync(file, flags);
}

int counted_open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  CountingVfs& vfs = instance();
  const int code = vfs.own->xOpen(vfs.own, name, file, flags, flags_out);
  if (file->pMethods != nullptr)
    file->pMethods = &vfs.methods.try_emplace(file->pMethods, *file->pMethods).first->second;
  return code;
}

CountingMethods::CountingMethods(const sqlite3_io_methods& methods)
    : sqlite3_io_methods(methods), own_sync(methods.xSync) {
  xSync = counted_sync;
}

CountingVfs::CountingVfs() : sqlite3_vfs(*::sqlite3_vfs_find(nullptr)), own(::sqlite3_vfs_find(nullptr)) {
  zName = "quipu";
  pNext = nullptr;
  xOpen = counted_open;
  QUIPU_ASSERT(::sqlite3_vfs_register(this, 0) == SQLITE_OK);
}

}  // namespace

const char* counting_vfs() {
  return instance().zName;
}

std::uint64_t syncs_so_far() {
  return instance().syncs;
}

}  // namespace quipu::store
