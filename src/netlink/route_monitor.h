// SPDX-License-Identifier: Apache-2.0
// Says that others changed what a link plan is made of: the kernel's notifications of links, addresses, routes and
// rules (rtnetlink). What is missing then is RouteSocket's to find out and to put back. Needs no capability.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace quipu::netlink {

class RouteMonitor {
 public:
  // Of the interface, which exists. Changes from here on are told.
  static Result<RouteMonitor> open(const std::string& interface);
  RouteMonitor(RouteMonitor&&) noexcept;
  RouteMonitor& operator=(RouteMonitor&&) noexcept;
  ~RouteMonitor();

  // Readable when something waits. Does not block.
  int fd() const;

  // Takes what waits; may leave some for the next call. True when any of it touches the interface, its addresses, a
  // route of ours, a connected network or a rule, and when the kernel had to leave notifications out.
  bool take_changes();

 private:
  struct State;
  explicit RouteMonitor(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace quipu::netlink
