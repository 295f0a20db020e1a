// SPDX-License-Identifier: Apache-2.0
// Applies link plans to the kernel (rtnetlink by libnl). One thread at a time. Calls block while the kernel lists its
// routes, those of all tables: well under a millisecond where there are a few hundred, longer in proportion to more.
// Needs CAP_NET_ADMIN for everything that changes something.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "netlink/link_plan.h"

namespace quipu::netlink {

// One number for all that is ours in the kernel: the protocol of our routes and rules, our routing table, and the
// priority of the rule that has it asked: behind that of `local` (0), before all usual ones.
inline constexpr int kRouteProtocol = 81;
inline constexpr std::uint32_t kRouteTable = 81;
inline constexpr std::uint32_t kRulePriority = 81;

// A network at one of the machine's own interfaces, as the kernel itself adds it with an address or a router's word.
struct ConnectedNetwork {
  IpPrefix prefix;
  std::string via;  // interface name

  auto operator<=>(const ConnectedNetwork&) const = default;
};

// The kernel as it is, measured by a plan.
struct Findings {
  bool link_up = true;
  // What somebody else, or the kernel itself, took away: rules, blackholes and throws; also the removal of what is ours
  // by its protocol and not the plan's (an older configuration's, a route of ours that somebody has changed); and, of
  // an interface that is up, tunnel routes and addresses (the kernel takes those away with an interface that goes
  // down).
  std::vector<std::string> missing_guards;
  std::vector<std::string> missing_tunnels;
  // What of somebody else's takes packets of a protected prefix away: rules that are asked before ours, routes in our
  // table, whatever their kind, and in `local`. For an alarm.
  std::vector<std::string> bypasses;
  // Inside a protected prefix and no local network: their hosts are reached through the tunnel only. For a warning.
  std::vector<ConnectedNetwork> connected;
};

// Every error names the object and, where there is one, the remedy: Errc::not_permitted without CAP_NET_ADMIN, conflict
// for something that is in the way, not_found for an interface that does not exist, io for the rest.
class RouteSocket {
 public:
  static Result<RouteSocket> open();
  RouteSocket(RouteSocket&&) noexcept;
  RouteSocket& operator=(RouteSocket&&) noexcept;
  ~RouteSocket();

  // Step 1, before the TUN device is opened: the plan's guards, and a rule for each family; those that exist are left
  // alone. What has the place of one and is ours by its protocol gives way to it. When one cannot be set, the others
  // are even so. Local networks of an older plan are protected again. Where the interface exists, what is ours by its
  // protocol leads to nothing else any more. Once all that has succeeded, blackholes of an older plan go where they are
  // within a prefix of this one, whose guards decide there; others stay, and those behind a tunnel route of ours that
  // stands. A local network that only a wider prefix protected is open from the first, whatever fails: it is said to be
  // local.
  Result<void> guard(const LinkPlan& plan);

  // Once the interface exists: whatever else gets its name later is not the plans' interface.
  Result<void> own(const std::string& interface);

  // Step 2, once the interface exists: MTU, addresses, link up, routes. What is there already is kept, so it can be
  // repeated. An address that cannot be had keeps no route away, and is the error then.
  Result<void> apply(const LinkPlan& plan);

  // Before a reload, changing nothing: Errc::conflict where something leads around the guards of either plan that is
  // not to be told from a route of ours, or has the place of a guard and is not to give way to it, since no change
  // could then succeed, nor be taken back.
  Result<void> check_change(const LinkPlan& from, const LinkPlan& to);

  // Reload: both steps, and the reverse for what is not in `to`. A prefix that left the plan loses its blackholes,
  // because the admin has said that it is no longer protected. Until all else has succeeded, what either plan protects
  // is protected; a local network of both stays one all the time. Nothing begins while there is no interface.
  // To take a reload back: `kept` are the guards() from before it, which an older configuration may have left. They
  // stay.
  Result<void> apply(const LinkPlan& from, const LinkPlan& to, std::span<const IpPrefix> kept = {});

  // Stop: takes routes and addresses off the interface and sets it down. Guards stay. No error if the interface has
  // gone.
  Result<void> remove(const LinkPlan& plan);

  // Prefixes with a blackhole of ours, whoever set it: left over from a stop, a crash or an older configuration.
  Result<std::vector<IpPrefix>> guards();
  // The explicit request (`quipud --remove-guards`). Prefixes without a blackhole of ours are skipped. With the last
  // one of a family goes all that is ours. Errc::conflict, and nothing is removed, while a tunnel of ours carries one
  // of them.
  Result<void> remove_guards(std::span<const IpPrefix> prefixes);

  Result<Findings> inspect(const LinkPlan& plan);

  // How often guard() and apply() have put something right so far: also where they failed at something else.
  std::uint64_t changes() const;

 private:
  struct State;
  explicit RouteSocket(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace quipu::netlink
