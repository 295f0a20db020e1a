// SPDX-License-Identifier: Apache-2.0
// Stamps of handshake initiations, durable and strictly growing without a clock (docs/protocol.md, "Stamp"): numbers
// are reserved kReservation at a time, so one disk write serves weeks, and what a crash leaves unused is skipped.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace quipu::store {

class StampFile {
 public:
  static constexpr std::uint64_t kReservation = 65'536;

  // Opens DIR/stamps, or starts at 1 when DIR holds none. Holds a lock on DIR/stamps.lock while it lives, so that two
  // processes never reserve alike. A damaged file is an error (Errc::storage) that says what to do.
  static Result<StampFile> open(const std::string& directory);

  // The next stamp, greater than all before, over all runs. Syncs to disk once in kReservation calls.
  Result<std::uint64_t> next();

  // Makes next() return values above `floor` from now on, durably: the answer to a peer that has seen higher stamps,
  // because this end was restored from a backup.
  Result<void> raise_above(std::uint64_t floor);

 private:
  StampFile(std::string directory, UniqueFd lock) : m_directory(std::move(directory)), m_lock(std::move(lock)) {}

  Result<void> reserve_from(std::uint64_t first);

  std::string m_directory;
  UniqueFd m_lock;
  std::uint64_t m_next = 0;
  std::uint64_t m_end = 0;  // reserved below this
};

}  // namespace quipu::store
