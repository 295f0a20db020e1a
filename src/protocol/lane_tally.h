// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "base/tally.h"
#include "base/time.h"
#include "protocol/status.h"

namespace quipu::protocol {

// What one SideLane has done for one peer: written on its thread, read on the Device's. A cache line is never two
// lanes'.
struct alignas(64) LaneTally {
  Tally rx_packets;
  Tally rx_bytes;
  Tally tx_packets;
  Tally tx_bytes;
  std::array<Tally, kDropReasons> drops;
  std::atomic<TimePoint> sent{};      // when it last sealed a packet
  std::atomic<TimePoint> opened{};    // when something last opened, be it a probe
  std::atomic<TimePoint> received{};  // when it was a packet
  std::atomic<bool> carries = false;  // its path is known to carry packets
  // The Device was told that there is something to read here, and has not looked since.
  std::atomic<bool> told = false;
};

// Of lane 1, 2, ...
using LaneTallies = std::vector<LaneTally>;

}  // namespace quipu::protocol
