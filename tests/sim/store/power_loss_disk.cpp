// SPDX-License-Identifier: Apache-2.0
#include "sim/store/power_loss_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace quipu::store::sim {
namespace {

constexpr int kSectorSize = 4'096;  // what SQLite takes a disk's to be

}  // namespace

void Contents::apply(const Event& event) {
  if (const auto* write = std::get_if<Write>(&event)) {
    Bytes& file = files[write->inode];
    file.resize(std::max<std::size_t>(file.size(), write->offset + write->octets.size()));
    std::ranges::copy(write->octets, file.begin() + static_cast<std::ptrdiff_t>(write->offset));
  } else if (const auto* cut = std::get_if<Truncate>(&event)) {
    files[cut->inode].resize(cut->size);
  } else if (const auto* name = std::get_if<Name>(&event)) {
    if (name->inode == kNoInode)
      names.erase(name->path);
    else
      names[name->path] = name->inode;
  }
}

// What SQLite allocates for a file that it opens.
struct PowerLossDisk::File : sqlite3_file {
  PowerLossDisk* disk;
  Inode inode;

  Bytes& octets() const { return disk->m_contents.files[inode]; }
};

// What SQLite calls.
struct PowerLossDisk::Calls {
  static File& of(sqlite3_file* file) { return *static_cast<File*>(file); }

  // Not what stands in it: the store works with a copy, which it made of the first disk's.
  static PowerLossDisk& of(sqlite3_vfs* /*vfs*/) { return *mounted(); }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    PowerLossDisk& disk = of(vfs);
    if (path == nullptr) return SQLITE_CANTOPEN;  // the store wants no temporary files
    if (!disk.m_contents.names.contains(path)) {
      if ((flags & SQLITE_OPEN_READONLY) != 0) return SQLITE_CANTOPEN;
      disk.record(Name{path, ++disk.m_last});
    }
    File* opened = new (file) File;
    opened->pMethods = &kMethods;
    opened->disk = &disk;
    opened->inode = disk.m_contents.names.at(path);
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs* vfs, const char* path, int sync) {
    PowerLossDisk& disk = of(vfs);
    if (!disk.m_contents.names.contains(path)) return SQLITE_IOERR_DELETE_NOENT;
    disk.record(Name{path, kNoInode});
    if (sync != 0) disk.record(Sync{kNoInode});
    return SQLITE_OK;
  }

  static int access(sqlite3_vfs* vfs, const char* path, int /*flags*/, int* out) {
    *out = of(vfs).m_contents.names.contains(path) ? 1 : 0;
    return SQLITE_OK;
  }

  static int full_path(sqlite3_vfs* /*vfs*/, const char* path, int size, char* out) {
    ::sqlite3_snprintf(size, out, "%s", path);
    return SQLITE_OK;
  }

  static int random(sqlite3_vfs* vfs, int size, char* out) {
    return of(vfs).m_real->xRandomness(of(vfs).m_real, size, out);
  }

  static int sleep(sqlite3_vfs* /*vfs*/, int /*microseconds*/) { return 0; }

  static int time(sqlite3_vfs* vfs, double* out) { return of(vfs).m_real->xCurrentTime(of(vfs).m_real, out); }

  static int last_error(sqlite3_vfs* /*vfs*/, int /*size*/, char* /*out*/) { return 0; }

  static int close(sqlite3_file* /*file*/) { return SQLITE_OK; }

  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
    const Bytes& octets = of(file).octets();
    const auto wanted = static_cast<std::size_t>(size);
    const std::size_t at = std::min(octets.size(), static_cast<std::size_t>(offset));
    const std::size_t there = std::min(wanted, octets.size() - at);
    std::memset(out, 0, wanted);
    if (there != 0) std::memcpy(out, octets.data() + at, there);
    return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    const auto* octets = static_cast<const std::uint8_t*>(data);
    of(file).disk->record(Write{of(file).inode, static_cast<std::uint64_t>(offset), Bytes(octets, octets + size)});
    return SQLITE_OK;
  }

  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    of(file).disk->record(Truncate{of(file).inode, static_cast<std::uint64_t>(size)});
    return SQLITE_OK;
  }

  static int sync(sqlite3_file* file, int /*flags*/) {
    of(file).disk->record(Sync{of(file).inode});
    return SQLITE_OK;
  }

  static int size(sqlite3_file* file, sqlite3_int64* out) {
    *out = static_cast<sqlite3_int64>(of(file).octets().size());
    return SQLITE_OK;
  }

  // One process alone: kms.db is opened once.
  static int lock(sqlite3_file* /*file*/, int /*kind*/) { return SQLITE_OK; }

  static int is_locked(sqlite3_file* /*file*/, int* out) {
    *out = 0;
    return SQLITE_OK;
  }

  static int control(sqlite3_file* /*file*/, int /*operation*/, void* /*argument*/) { return SQLITE_NOTFOUND; }

  static int sector_size(sqlite3_file* /*file*/) { return kSectorSize; }

  // As on Linux: a write that is torn leaves the octets around it alone.
  static int device(sqlite3_file* /*file*/) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  static const sqlite3_io_methods kMethods;
};

const sqlite3_io_methods PowerLossDisk::Calls::kMethods = [] {
  sqlite3_io_methods methods{};
  methods.iVersion = 1;
  methods.xClose = close;
  methods.xRead = read;
  methods.xWrite = write;
  methods.xTruncate = truncate;
  methods.xSync = sync;
  methods.xFileSize = size;
  methods.xLock = lock;
  methods.xUnlock = lock;
  methods.xCheckReservedLock = is_locked;
  methods.xFileControl = control;
  methods.xSectorSize = sector_size;
  methods.xDeviceCharacteristics = device;
  return methods;
}();

PowerLossDisk*& PowerLossDisk::mounted() {
  static PowerLossDisk* disk = nullptr;
  return disk;
}

// The store keeps the way that it found first, so there is one for all disks of the process.
sqlite3_vfs& PowerLossDisk::vfs(sqlite3_vfs& real) {
  static sqlite3_vfs vfs = [&real] {
    sqlite3_vfs out{};
    out.iVersion = 1;
    out.szOsFile = sizeof(File);
    out.mxPathname = real.mxPathname;
    out.zName = "power-loss";
    out.xOpen = Calls::open;
    out.xDelete = Calls::remove;
    out.xAccess = Calls::access;
    out.xFullPathname = Calls::full_path;
    out.xRandomness = Calls::random;
    out.xSleep = Calls::sleep;
    out.xCurrentTime = Calls::time;
    out.xGetLastError = Calls::last_error;
    return out;
  }();
  return vfs;
}

PowerLossDisk::PowerLossDisk() : m_real(::sqlite3_vfs_find(nullptr)) {
  mounted() = this;
  EXPECT_EQ(::sqlite3_vfs_register(&vfs(*m_real), 1), SQLITE_OK);
}

PowerLossDisk::~PowerLossDisk() {
  EXPECT_EQ(::sqlite3_vfs_unregister(&vfs(*m_real)), SQLITE_OK);
  EXPECT_EQ(::sqlite3_vfs_register(m_real, 1), SQLITE_OK);
}

void PowerLossDisk::restart(Contents contents) {
  m_contents = std::move(contents);
  m_events.clear();
  m_last = m_contents.files.empty() ? kNoInode : m_contents.files.rbegin()->first;
}

void PowerLossDisk::record(Event event) {
  m_contents.apply(event);
  m_events.push_back(std::move(event));
}

}  // namespace quipu::store::sim
