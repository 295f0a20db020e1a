// SPDX-License-Identifier: Apache-2.0
// What the kernel should know about a tunnel's interface, computed as data. Nothing here touches the kernel;
// netlink/route_socket.h does.
//
// Protected prefixes are decided by a routing table of our own, which a rule has the kernel ask before the main one: no
// route of somebody else's (a router advertisement's, a DHCP server's, an admin's) takes a packet of theirs away,
// however specific it is. There every protected prefix has a route through the TUN and, behind it, a blackhole of the
// highest metric; a local network inside one has a "throw", which leaves its packets to the main table. Rule and
// blackholes are set before the TUN comes up and stay when it goes, by stop or by crash, so a packet for a protected
// prefix is either tunnelled or dropped. They go away only when somebody asks for that: by a reload without the prefix,
// or by `quipud --remove-guards`; and where a wider prefix has guards that stand.
//
// The main table has the blackholes too: a second wall for as long as somebody (a network manager at its start) has
// removed the rule.
//
// 0.0.0.0/0 and ::/0 become their two halves, so that they win over a default route instead of competing with it.
//
// A protected prefix must not hold an endpoint of a peer, unless a local network does: the tunnel's own datagrams would
// be routed into the tunnel. Such a plan is refused. (An exception by host route would have to follow every change of
// gateway, and would send whatever else is meant for that address in clear.)
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace quipu::netlink {

inline constexpr int kMinMtuV4 = 576;   // RFC 1122 section 3.3.3
inline constexpr int kMinMtuV6 = 1280;  // RFC 8200 section 5
inline constexpr int kMaxMtu = 65535;

// The plain facts that a plan is made from.
struct LinkConfig {
  std::string name;
  int mtu = 1420;
  std::vector<IpPrefix> addresses;       // with host bits
  std::vector<IpPrefix> allowed_ips;     // of all peers together
  std::vector<IpPrefix> local_networks;  // this site's own
  std::vector<IpAddress> endpoints;      // outer addresses of peers, as far as they are known
};

// Sorts by the order in which routes are set: what opens is there before what closes.
struct Route {
  enum class Kind : std::uint8_t { local, blackhole, tunnel } kind = Kind::tunnel;
  // `local`, where no plan has anything, is asked before ours.
  enum class Table : std::uint8_t { own, main, local } table = Table::own;
  IpPrefix prefix;

  auto operator<=>(const Route&) const = default;

  // Tunnels: the best (for IPv6 that is 1: the kernel reads 0 as 1024). Blackholes: the highest that there is.
  std::uint32_t metric() const;
  // "blackhole 10.2.0.0/16 in main"
  std::string text() const;
};

// All lists are sorted and without duplicates.
struct LinkPlan {
  std::string name;
  int mtu = 0;
  std::vector<IpPrefix> addresses;
  std::vector<IpPrefix> prefixes;        // protected: masked, halves instead of everything
  std::vector<IpPrefix> local_networks;  // those inside a protected prefix: of others nothing need be said

  bool operator==(const LinkPlan&) const = default;

  // What stands whether there is a tunnel or not.
  std::vector<Route> guards() const;
  // What goes through the interface.
  std::vector<Route> tunnels() const;
  // Of the prefixes: each needs a rule.
  std::vector<IpFamily> families() const;
  // Whether all of it goes into the tunnel: the longest prefix decides between protected prefixes and local networks.
  bool protects(const IpPrefix& prefix) const;
};

// Errc::out_of_range: name, MTU or prefix that cannot be (host bits in a route, an MTU below 1280 with IPv6).
// Errc::conflict: an endpoint lies inside a protected prefix, or a local network is one. The text names the value.
Result<LinkPlan> plan_link(const LinkConfig& config);

// The prefixes of a plan that these make. Errc::out_of_range as above.
Result<std::vector<IpPrefix>> protected_prefixes(std::span<const IpPrefix> allowed_ips);

// Whether datagrams may go to this endpoint under the plan: to be asked again for each address that a host name
// resolves to and before a peer is followed to a new address. Errc::conflict as above.
Result<void> check_endpoint(const LinkPlan& plan, const IpAddress& endpoint);

// What `wanted` has and `present` has not; both are sorted.
template <class T>
std::vector<T> missing_from(const std::vector<T>& wanted, const std::vector<T>& present) {
  std::vector<T> out;
  std::ranges::set_difference(wanted, present, std::back_inserter(out));
  return out;
}

}  // namespace quipu::netlink
