// SPDX-License-Identifier: Apache-2.0
#include "netlink/route_monitor.h"

#include <linux/rtnetlink.h>
#include <netlink/msg.h>

#include <utility>

#include "netlink/kernel_routes.h"
#include "netlink/route_socket.h"

namespace quipu::netlink {
namespace {

// Of one call, so that a flood of changes does not keep the caller's loop from everything else.
constexpr int kMaxReads = 64;

// Whatever others route in the main table is no matter, but for what becomes connected, and what has the place of a
// blackhole of ours: it may have replaced that, of which nothing else is told, or have done for it.
bool concerns(const KernelRoute& route) {
  return route.table != Route::Table::main || route.protocol == kRouteProtocol || route.protocol == RTPROT_KERNEL ||
         route.metric == Route{Route::Kind::blackhole, Route::Table::main, route.prefix}.metric();
}

}  // namespace

struct RouteMonitor::State {
  NlSocket socket;
  int interface = 0;
  bool touched = false;

  bool touches(nlmsghdr* message) const {
    switch (message->nlmsg_type) {
      case RTM_NEWLINK:
      case RTM_DELLINK: return static_cast<ifinfomsg*>(nlmsg_data(message))->ifi_index == interface;
      case RTM_NEWADDR:
      case RTM_DELADDR: return static_cast<int>(static_cast<ifaddrmsg*>(nlmsg_data(message))->ifa_index) == interface;
      case RTM_NEWROUTE:
      case RTM_DELROUTE: {
        const auto route = route_of(message);
        return route && concerns(*route);
      }
      case RTM_NEWRULE:
      case RTM_DELRULE: return true;
      default: return false;
    }
  }

  static int on_message(nl_msg* message, void* argument) {
    auto* state = static_cast<State*>(argument);
    state->touched = state->touched || state->touches(nlmsg_hdr(message));
    return NL_OK;
  }
};

RouteMonitor::RouteMonitor(std::unique_ptr<State> state) : m_state(std::move(state)) {}

RouteMonitor::RouteMonitor(RouteMonitor&&) noexcept = default;
RouteMonitor& RouteMonitor::operator=(RouteMonitor&&) noexcept = default;
RouteMonitor::~RouteMonitor() = default;

Result<RouteMonitor> RouteMonitor::open(const std::string& interface) {
  NlSocket socket(nl_socket_alloc());
  QUIPU_ASSERT(socket != nullptr);
  nl_socket_disable_seq_check(socket.get());  // notifications answer no request
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0)
    return std::unexpected(explain("opening a netlink socket", error));
  QUIPU_TRY_ASSIGN(const int index, interface_index(socket.get(), interface));
  if (const int error = nl_socket_set_nonblocking(socket.get()); error < 0)
    return std::unexpected(explain("watching the routes", error));
  auto state = std::make_unique<State>();
  nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, State::on_message, state.get());
  for (const int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                          RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE})
    if (const int error = nl_socket_add_membership(socket.get(), group); error < 0)
      return std::unexpected(explain("watching the routes", error));
  state->socket = std::move(socket);
  state->interface = index;
  return RouteMonitor(std::move(state));
}

int RouteMonitor::fd() const {
  return nl_socket_get_fd(m_state->socket.get());
}

bool RouteMonitor::take_changes() {
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const int error = nl_recvmsgs_default(m_state->socket.get());
    if (error == -NLE_AGAIN) break;
    // NLE_NOMEM (ENOBUFS): the socket's buffer was full, and nobody knows what was left out. Whatever else it is, to
    // look once more is right.
    m_state->touched = m_state->touched || error < 0;
  }
  return std::exchange(m_state->touched, false);
}

}  // namespace quipu::netlink
