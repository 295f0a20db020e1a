// SPDX-License-Identifier: Apache-2.0
// Time as the cores see it: an argument. Only the daemons' loop (net/loop.h) reads a clock.
#pragma once

#include <chrono>

namespace quipu {

// CLOCK_BOOTTIME: never set, goes on during suspend. It has no now() here on purpose.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};

using Duration = BootClock::duration;
using TimePoint = BootClock::time_point;

// Wall-clock time, for certificates and for the age of stored key material only.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

}  // namespace quipu
