// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "base/time.h"

namespace quipu::protocol {

// One event per `interval` on average, `burst` at once.
class TokenBucket {
 public:
  TokenBucket(Duration interval, int burst) : m_interval(interval), m_burst(burst) {}

  void set_interval(Duration interval) { m_interval = interval; }

  bool take(TimePoint now) {
    // Kept as the moment at which the bucket is full again (GCRA): no fractions.
    m_full_at = std::max(m_full_at, now);
    if (m_full_at - now > m_interval * (m_burst - 1)) return false;
    m_full_at += m_interval;
    return true;
  }

  // An event that happens whatever the bucket holds; the next take() waits for it, too.
  void spend(TimePoint now) { m_full_at = std::max(m_full_at, now) + m_interval; }

  // From when on take() succeeds.
  TimePoint free_at() const { return m_full_at - m_interval * (m_burst - 1); }

  bool full(TimePoint now) const { return m_full_at <= now; }

 private:
  Duration m_interval;
  int m_burst;
  TimePoint m_full_at{};
};

// Counts events in windows of a second. Above the threshold the load is on until a whole window stayed below it.
class LoadMeter {
 public:
  explicit LoadMeter(std::size_t threshold) : m_threshold(threshold) {}

  void count(TimePoint now) {
    roll(now);
    ++m_count;
    if (m_count > m_threshold) m_loaded = true;
  }

  bool under_load(TimePoint now) {
    roll(now);
    return m_loaded;
  }

 private:
  void roll(TimePoint now) {
    if (now - m_window < std::chrono::seconds(1)) return;
    const bool next_window = now - m_window < std::chrono::seconds(2);
    m_loaded = m_loaded && next_window && m_count > m_threshold;
    m_window = now;
    m_count = 0;
  }

  std::size_t m_threshold;
  TimePoint m_window{};
  std::size_t m_count = 0;
  bool m_loaded = false;
};

}  // namespace quipu::protocol
