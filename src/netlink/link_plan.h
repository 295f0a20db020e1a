// SPDX-License-Identifier: Apache-2.0
// What the kernel should know about a tunnel's interface, computed as data. Nothing here touches the kernel;
// netlink/route_socket.h does.
//
// Every protected prefix gets two routes: one through the TUN, and a blackhole of the highest metric. The blackhole is
// set before the TUN comes up and stays when it goes, by stop or by crash, so a packet for a protected prefix is either
// tunnelled or dropped and never takes the default route. It goes away only when somebody asks for that: by a reload
// without the prefix, or by `quipud --remove-guards`.
//
// 0.0.0.0/0 and ::/0 become their two halves, so that they win over a default route instead of competing with it.
//
// A protected prefix must not hold an endpoint of a peer: the tunnel's own datagrams would be routed into the tunnel.
// Such a plan is refused. (An exception by host route would have to follow every change of gateway, and would send
// whatever else is meant for that address in clear.)
#pragma once

#include <cstdint>
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
  std::vector<IpPrefix> addresses;    // with host bits
  std::vector<IpPrefix> allowed_ips;  // of all peers together
  std::vector<IpAddress> endpoints;   // outer addresses of peers, as far as they are known
};

struct Route {
  IpPrefix prefix;
  enum class Kind : std::uint8_t { tunnel, blackhole } kind = Kind::tunnel;

  auto operator<=>(const Route&) const = default;

  // IPv4: 0, the best. IPv6: 1, because the kernel reads 0 as 1024. Blackholes: the highest that there is.
  std::uint32_t metric() const;
};

// All lists are sorted and without duplicates.
struct LinkPlan {
  std::string name;
  int mtu = 0;
  std::vector<IpPrefix> addresses;
  std::vector<IpPrefix> prefixes;  // protected: masked, halves instead of everything

  bool operator==(const LinkPlan&) const = default;

  std::vector<Route> routes(Route::Kind kind) const;
};

// Errc::out_of_range: name, MTU or prefix that cannot be (host bits in a route, an MTU below 1280 with IPv6).
// Errc::conflict: an endpoint lies inside a protected prefix. The text names the value.
Result<LinkPlan> plan_link(const LinkConfig& config);

// The prefixes of a plan that these make. Errc::out_of_range as above.
Result<std::vector<IpPrefix>> protected_prefixes(std::span<const IpPrefix> allowed_ips);

// Whether datagrams may go to this endpoint under the plan: to be asked again for each address that a host name
// resolves to and before a peer is followed to a new address. Errc::conflict as above.
Result<void> check_endpoint(const LinkPlan& plan, const IpAddress& endpoint);

// The steps from one plan of an interface to another. Blackholes to add come before everything else and blackholes to
// remove after everything else, so no prefix that both plans protect is ever without.
struct LinkChange {
  std::vector<IpPrefix> add_prefixes;
  std::vector<IpPrefix> remove_prefixes;
  std::vector<IpPrefix> add_addresses;
  std::vector<IpPrefix> remove_addresses;
  bool mtu = false;

  bool operator==(const LinkChange&) const = default;

  bool empty() const { return *this == LinkChange{}; }
};

// Both plans are of the same interface name.
LinkChange diff(const LinkPlan& from, const LinkPlan& to);

}  // namespace quipu::netlink
