// SPDX-License-Identifier: Apache-2.0
#include "service/notify.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <ctime>

namespace quipu::service {
namespace {

// What the service manager does not take is not ours to mend.
void notify(const std::string& state) {
  static_cast<void>(::sd_notify(0, state.c_str()));
}

}  // namespace

void notify_ready() {
  notify("READY=1");
}

void notify_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1'000));
}

void notify_stopping() {
  notify("STOPPING=1");
}

void notify_status(std::string_view text) {
  std::string line(text);
  std::ranges::replace(line, '\n', ' ');  // a line feed would begin another assignment
  notify("STATUS=" + line);
}

void notify_watchdog() {
  notify("WATCHDOG=1");
}

}  // namespace quipu::service
