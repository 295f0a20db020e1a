// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel's side of the tunnel as the plan says while the daemon runs: what others take away (a link set down
// and up, flushed routes, deleted rules) is put back, and what of others bypasses it raises an alarm. Nobody else's
// routes and rules are touched. Against a program that takes the same away again and again, it comes back ever less
// often, down to once a second.
//
// An interface that an operator sets down stays down; only its guards are kept. It is made whole when it comes up.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/storm_pace.h"
#include "net/loop.h"
#include "netlink/route_monitor.h"
#include "netlink/route_socket.h"

namespace quipu::daemon {

class LinkKeeper {
 public:
  // All of these outlive it; `plan` is always the plan in effect. Looks for the first time when the loop runs.
  LinkKeeper(net::Loop& loop, netlink::RouteMonitor monitor, netlink::RouteSocket& routes,
             const netlink::LinkPlan& plan, LogSink& log);
  LinkKeeper(const LinkKeeper&) = delete;
  LinkKeeper& operator=(const LinkKeeper&) = delete;
  ~LinkKeeper() = default;

  void check();

  // How long after one look the next one comes, when something changes.
  Duration pause() const { return m_pace.pause(net::Loop::now()); }

  // Why not every protected packet goes into the tunnel, as of the last look; empty when they do.
  std::string trouble() const;

 private:
  void check_in(Duration pause);
  void mend(const netlink::Findings& found);
  Result<void> restore(bool link_up);
  void tell_link(bool up);
  void tell_restored(const netlink::Findings& restored);
  void tell_not_restored(const netlink::Findings& left, const Error& error);
  void tell_bypasses(std::vector<std::string> bypasses);
  void tell_connected(const std::vector<netlink::ConnectedNetwork>& connected);

  netlink::RouteMonitor m_monitor;
  netlink::RouteSocket& m_routes;
  const netlink::LinkPlan& m_plan;
  LogSink& m_log;
  net::FdWatch m_watch;
  net::Timer m_timer;
  std::optional<TimePoint> m_due;
  std::optional<TimePoint> m_last;
  StormPace m_pace;
  bool m_link_up = true;
  std::string m_failure;  // that was told, and what was missing then
  std::string m_left;
  std::vector<std::string> m_bypasses;
  std::map<netlink::ConnectedNetwork, TimePoint> m_connected;  // that were told, and when they were last seen
};

}  // namespace quipu::daemon
