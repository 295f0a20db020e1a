// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>

#include "base/time.h"

namespace quipu::daemon {

// How long to wait between two looks at the kernel. What one event took away is back at once, even in several steps;
// against a program that takes it away again and again, the pause doubles up to the longest, until there was calm.
class StormPace {
 public:
  static constexpr Duration kShortest = std::chrono::milliseconds(100);
  static constexpr Duration kLongest = std::chrono::seconds(1);
  // A restoration that follows another one sooner is one of the same storm.
  static constexpr Duration kCalm = std::chrono::seconds(10);

  Duration pause(TimePoint now) const { return storms(now) ? m_pause : kShortest; }

  void restored(TimePoint now) {
    m_pause = storms(now) ? std::min(2 * m_pause, kLongest) : kShortest;
    m_restored = now;
  }

 private:
  bool storms(TimePoint now) const { return m_restored && now - *m_restored < kCalm; }

  Duration m_pause = kShortest;
  std::optional<TimePoint> m_restored;
};

}  // namespace quipu::daemon
