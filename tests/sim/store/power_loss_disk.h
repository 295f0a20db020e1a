// SPDX-License-Identifier: Apache-2.0
// A disk in memory under SQLite, as its default VFS. It writes down all that SQLite does to it, so that afterwards the
// power can fail at each moment: what was not synced is then lost, there in part, or there without what was written
// before it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"

namespace quipu::store::sim {

// A file without its name: one that is deleted and made anew is another.
using Inode = std::uint64_t;
inline constexpr Inode kNoInode = 0;

struct Write {
  Inode inode;
  std::uint64_t offset;
  Bytes octets;
};

struct Truncate {
  Inode inode;
  std::uint64_t size;
};

// A name's file; none: it was deleted.
struct Name {
  std::string path;
  Inode inode;
};

// That file is as it was left, and has its name. kNoInode: all names are as they were left.
struct Sync {
  Inode inode;
};

// The program was told that what it asked for is durable.
struct Promise {};

using Event = std::variant<Write, Truncate, Name, Sync, Promise>;

// What is on the disk.
struct Contents {
  std::map<std::string, Inode> names;
  std::map<Inode, Bytes> files;

  // Sync and Promise change nothing.
  void apply(const Event& event);
};

class PowerLossDisk {
 public:
  PowerLossDisk();
  PowerLossDisk(const PowerLossDisk&) = delete;
  PowerLossDisk& operator=(const PowerLossDisk&) = delete;
  ~PowerLossDisk();

  // The power is back, with that on the disk. No file is open.
  void restart(Contents contents);

  void promise() { m_events.emplace_back(Promise{}); }

  // Since the last restart.
  const std::vector<Event>& events() const { return m_events; }

 private:
  struct File;
  struct Calls;

  static sqlite3_vfs& vfs(sqlite3_vfs& real);
  static PowerLossDisk*& mounted();
  void record(Event event);

  sqlite3_vfs* m_real;  // for the time and random numbers
  Contents m_contents;
  Inode m_last = kNoInode;
  std::vector<Event> m_events;
};

}  // namespace quipu::store::sim
