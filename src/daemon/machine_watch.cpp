// SPDX-License-Identifier: Apache-2.0
#include "daemon/machine_watch.h"

#include <ctime>

#include "daemon/event_names.h"

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

MachineMonitor::MachineMonitor(net::Loop& loop, LogSink& log, const MachineWatch::Reading& at_start,
                               net::Callback<void()> on_change, MachineSource source)
    : m_log(log), m_watch(at_start), m_on_change(std::move(on_change)), m_source(std::move(source)) {
  if (m_source.fd < 0) return;
  m_news = std::make_unique<net::FdWatch>(loop, m_source.fd);
  m_news->on_readable([this] { check(); });
}

void MachineMonitor::check() {
  const auto now = m_source.read();
  if (!now) {
    if (!std::exchange(m_unreadable, true))
      m_log.error(event::kMachineUnreadable, "a clone or a restored snapshot would not be noticed",
                  {error_field(now.error()), {"alarm", "yes"}});
    return;
  }
  m_unreadable = false;
  const auto why = m_watch.compare(*now);
  if (!why) return;
  m_on_change();  // first of all
  m_log.warning(event::kMachineChanged, "every session key was erased", {{"reason", std::string(*why)}});
}

}  // namespace quipu::daemon
