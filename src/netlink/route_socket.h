// SPDX-License-Identifier: Apache-2.0
// Applies link plans to the kernel (rtnetlink by libnl). Blocking calls of well under a millisecond each, for start,
// reload and stop; one thread at a time. Needs CAP_NET_ADMIN for everything that changes something.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "netlink/link_plan.h"

namespace quipu::netlink {

// Our routes carry this protocol number ("ip route show proto 81"), so they can be told from everybody else's.
inline constexpr int kRouteProtocol = 81;

// A route of somebody else's that takes packets away from a protected prefix, or will when the tunnel is down.
struct ForeignRoute {
  IpPrefix prefix;
  std::string via;  // interface name, or the route's type
  std::uint32_t metric = 0;

  bool operator==(const ForeignRoute&) const = default;
};

// What the kernel lacks of a plan.
struct Lacking {
  bool link_up = true;
  std::vector<IpPrefix> blackholes;
  // Of an interface that is up: the kernel takes these away with an interface that goes down.
  std::vector<IpPrefix> routes;
  std::vector<IpPrefix> addresses;
};

// Every error names the object and, where there is one, the remedy: Errc::not_permitted without CAP_NET_ADMIN, conflict
// for something that is in the way, not_found for an interface that does not exist, io for the rest.
class RouteSocket {
 public:
  static Result<RouteSocket> open();
  RouteSocket(RouteSocket&&) noexcept;
  RouteSocket& operator=(RouteSocket&&) noexcept;
  ~RouteSocket();

  // Step 1, before the TUN device is opened: a blackhole for each protected prefix; those that exist are left alone.
  // Refuses (Errc::conflict) when a foreign route for exactly that prefix would win over the blackhole once the TUN is
  // gone; the other prefixes have their blackholes even then.
  Result<void> guard(const LinkPlan& plan);

  // Step 2, once the interface exists: MTU, addresses, link up, routes. What is there already is kept, so it can be
  // repeated.
  Result<void> apply(const LinkPlan& plan);

  // Reload: both steps and their reverse for the differences only. A prefix that left the plan loses its blackhole,
  // because the admin has said that it is no longer protected.
  Result<void> apply(const LinkPlan& from, const LinkPlan& to);

  // Stop: takes routes and addresses off the interface and sets it down. Blackholes stay. No error if the interface has
  // gone.
  Result<void> remove(const LinkPlan& plan);

  // Blackholes of ours, whoever set them: left over from a stop, a crash or an older configuration.
  Result<std::vector<IpPrefix>> guards();
  // The explicit request (`quipud --remove-guards`). Prefixes without a blackhole of ours are skipped. Errc::conflict,
  // and nothing is removed, while a tunnel of ours carries one of them.
  Result<void> remove_guards(std::span<const IpPrefix> prefixes);

  // What somebody else, or the kernel itself, took away.
  Result<Lacking> lacking(const LinkPlan& plan);

  // Routes of somebody else's for protected prefixes or parts of them. Packets for a part are not tunnelled; those for
  // a whole prefix are until the tunnel's route goes. For an alarm.
  Result<std::vector<ForeignRoute>> foreign_routes(const LinkPlan& plan);

 private:
  struct State;
  explicit RouteSocket(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace quipu::netlink
