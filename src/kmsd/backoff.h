// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/time.h"

namespace quipu::kmsd {

// How long to wait before a peer is dialled again. One that restarts is usually back at once; one that is down for the
// day, or hangs up on us as soon as it has answered or made contact, should neither be hammered nor fill its log and
// ours.
class Backoff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(100);
  static constexpr Duration kLongest = std::chrono::seconds(10);

  Duration next() { return std::exchange(m_delay, std::min(m_delay * 2, kLongest)); }

  // Contact that lasted so long has ended.
  void contact_ended(Duration lasted) {
    if (lasted >= kLongest) m_delay = kFirst;
  }

 private:
  Duration m_delay = kFirst;
};

}  // namespace quipu::kmsd
