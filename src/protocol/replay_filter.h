// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "protocol/ids.h"

namespace quipu::protocol {

// Which counters were opened already: a sliding window in the manner of RFC 6479. A counter is taken once; one that
// lies kWindow or more below the highest is taken for used. Ask check() before opening a packet and call commit() only
// once it has opened, so that a forger cannot move the window.
class ReplayFilter {
 public:
  static constexpr std::uint64_t kWindow = 8192;

  bool check(Counter counter) const;
  // Only for a counter that passed check().
  void commit(Counter counter);

  // No counter at or above this one was committed yet.
  Counter next() const { return Counter(m_next); }

 private:
  static constexpr std::uint64_t kWordBits = 64;
  // One word more than the window, so that moving by whole words never clears a counter that is still inside.
  static constexpr std::uint64_t kWords = kWindow / kWordBits + 1;

  std::array<std::uint64_t, kWords> m_seen{};
  std::uint64_t m_next = 0;
};

}  // namespace quipu::protocol
