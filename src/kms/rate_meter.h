// SPDX-License-Identifier: Apache-2.0
// Average rate over about the last minute, from amounts and the times they came.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "base/time.h"

namespace quipu::kms {

class RateMeter {
 public:
  explicit RateMeter(TimePoint start) : m_start(start), m_at(start) {}

  void add(std::uint64_t octets, TimePoint now) {
    m_octets = m_octets * decay(now) + static_cast<double>(octets);
    m_at = now;
  }

  // Whether it has counted for as long as its window. Before that, one amount says nothing of a rate.
  bool settled(TimePoint now) const { return seconds(now - m_start) >= kWindow; }

  // Exponential window of one minute; before the first minute has passed, over the time that has.
  double bit_s(TimePoint now) const {
    const double age = std::max(seconds(now - m_start), 1.0);
    return 8 * m_octets * decay(now) / (kWindow * (1 - std::exp(-age / kWindow)));
  }

 private:
  static constexpr double kWindow = 60;

  static double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

  double decay(TimePoint now) const { return std::exp(-seconds(now - m_at) / kWindow); }

  TimePoint m_start;
  TimePoint m_at;
  double m_octets = 0;  // decayed to m_at
};

}  // namespace quipu::kms
