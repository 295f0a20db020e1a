// SPDX-License-Identifier: Apache-2.0
// The durable end of the stamps of handshake initiations (docs/protocol.md, "Stamp"): the Device reserves ranges of
// them before it uses any, so that what a crash leaves unused is skipped and none is ever used twice, without a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace quipu::store {

// The text of the file, and back; nothing unless it is exactly such a text.
std::string encode_stamps(std::uint64_t end);
std::optional<std::uint64_t> decode_stamps(std::string_view text);

class StampFile {
 public:
  // Opens DIR/stamps; end() is 0 when DIR holds none. Holds a lock on DIR/stamps.lock while it lives, so that two
  // processes never reserve alike (Errc::busy). A damaged file is an error (Errc::storage) that says what to do.
  static Result<StampFile> open(const std::string& directory);

  // Stamps below this may have been used, over all runs.
  std::uint64_t end() const { return m_end; }

  // Moves the end up, durably (fsync) when this returns. An `end` that is not above the present one changes nothing.
  Result<void> reserve(std::uint64_t end);

 private:
  StampFile(std::string directory, UniqueFd lock) : m_directory(std::move(directory)), m_lock(std::move(lock)) {}

  std::string m_directory;
  UniqueFd m_lock;
  std::uint64_t m_end = 0;
};

}  // namespace quipu::store
