// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel's side of the tunnel as the plan says while the daemon runs: what others take away (a link set down
// and up, flushed routes) is put back, and routes of others into protected prefixes raise an alarm. Nobody else's
// routes are touched.
//
// An interface that an operator sets down stays down; only its blackholes are kept. It is made whole when it comes up.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
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

  // Why not every packet for these prefixes goes into the tunnel, as of the last look; empty when they do.
  std::string trouble_of(std::span<const IpPrefix> allowed_ips) const;

 private:
  void check_in(Duration pause);
  Result<void> restore(const netlink::Lacking& lacking);
  void tell_link(bool up);
  void tell_restored(const netlink::Lacking& lacking, const Result<void>& done);
  void tell_foreign_routes();

  netlink::RouteMonitor m_monitor;
  netlink::RouteSocket& m_routes;
  const netlink::LinkPlan& m_plan;
  LogSink& m_log;
  net::FdWatch m_watch;
  net::Timer m_timer;
  std::optional<TimePoint> m_due;
  std::optional<TimePoint> m_last;
  bool m_link_up = true;
  std::string m_failure;  // that was told
  std::vector<netlink::ForeignRoute> m_foreign;
};

}  // namespace quipu::daemon
