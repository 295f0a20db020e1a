// SPDX-License-Identifier: Apache-2.0
// Blocks of one driver that wait for others, to share one durable transaction at either end. Key lies in stock for
// seconds at least, and a transaction keeps every request waiting for the disk.
#pragma once

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "driver/driver_host.h"
#include "kms/kme.h"

namespace quipu::kmsd {

class GatheredBlocks {
 public:
  // From the first block on.
  static constexpr Duration kGatherTime = std::chrono::milliseconds(100);
  // So that the driver can go on delivering meanwhile.
  static constexpr std::size_t kMost = driver::kDeliveryWindow / 2;

  void add(kms::SourceBlock block, TimePoint now) {
    if (m_blocks.empty()) m_first = now;
    m_blocks.push_back(std::move(block));
  }

  // When they are to be handed over; empty when there are none.
  std::optional<TimePoint> due() const {
    if (m_blocks.empty()) return std::nullopt;
    return m_blocks.size() >= kMost ? m_first : m_first + kGatherTime;
  }

  std::vector<kms::SourceBlock> take() { return std::exchange(m_blocks, {}); }

 private:
  std::vector<kms::SourceBlock> m_blocks;
  TimePoint m_first;  // when it came
};

}  // namespace quipu::kmsd
