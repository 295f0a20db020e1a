// SPDX-License-Identifier: Apache-2.0
#include "daemon/machine_watch.h"

#include <ctime>

namespace quipu::daemon {
namespace {

// The two clocks are read one after the other.
constexpr Duration kClockSlack = std::chrono::milliseconds(500);

Duration read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

std::optional<std::string_view> MachineWatch::compare(const Reading& now) {
  const Reading before = std::exchange(m_last, now);
  if (now.state.boot_id != before.state.boot_id) return "the boot id changed";
  if (now.state.vm_generation != before.state.vm_generation) return "the virtual machine was cloned or restored";
  if (now.asleep > before.asleep + kClockSlack) return "the machine slept";
  return std::nullopt;
}

Result<MachineWatch::Reading> read_machine() {
  QUIPU_TRY_ASSIGN(auto state, service::read_machine_state());
  return MachineWatch::Reading{state, read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC)};
}

}  // namespace quipu::daemon
