// SPDX-License-Identifier: Apache-2.0
// The few rtnetlink requests that route_socket.cpp is made of, with libnl's objects owned and its errors translated.
#pragma once

#include <netlink/netlink.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/link_plan.h"

namespace quipu::netlink {

struct SocketDeleter {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};

using NlSocket = std::unique_ptr<nl_sock, SocketDeleter>;

// A route of the main table or of our own, or one of `local` that is no address of the machine's, as the kernel reports
// it.
struct KernelRoute {
  IpPrefix prefix;
  Route::Table table = Route::Table::main;
  std::uint32_t metric = 0;
  int type = 0;       // RTN_...
  int protocol = 0;   // RTPROT_...
  int interface = 0;  // index; 0 = none, or more to it than one interface: several hops, a nexthop object, a wrapping
  int scope = 0;      // RT_SCOPE_...
  int tos = 0;        // only for packets of this one
  std::optional<IpPrefix> source = std::nullopt;  // only for packets from there

  bool operator==(const KernelRoute&) const = default;
};

// A rule of policy routing.
struct KernelRule {
  IpFamily family = IpFamily::v4;
  std::uint32_t priority = 0;
  std::uint32_t table = 0;
  int action = 0;    // FR_ACT_...
  int protocol = 0;  // RTPROT_...
  // No selector (from, iif, fwmark ...) leaves packets out, and no answer of the table is ignored.
  bool for_all_packets = true;
};

struct KernelAddress {
  IpPrefix prefix;
  int interface = 0;
};

// `error` is libnl's negative code.
Error explain(std::string_view what, int error);

// Errc::not_found when there is no such interface.
Result<int> interface_index(nl_sock* socket, const std::string& name);
// "another interface" when it has gone meanwhile.
std::string interface_name(int index);
Result<bool> is_up(nl_sock* socket, const std::string& name);
// Sets the MTU and takes the interface up.
Result<void> bring_up(nl_sock* socket, const std::string& name, int mtu);
Result<void> bring_down(nl_sock* socket, const std::string& name);

Result<std::vector<KernelRoute>> list_routes(nl_sock* socket);
// Of a notification. Empty for a route of a third table or of another family than the two.
std::optional<KernelRoute> route_of(nlmsghdr* message);
Result<std::vector<KernelAddress>> list_addresses(nl_sock* socket);

// `interface` is used for a tunnel only. Errc::conflict when a route of this prefix and metric exists.
Result<void> add_route(nl_sock* socket, const Route& route, int interface);
// A guard, in one step with the removal of what has its place: so that no packet finds neither. Adds it where there is
// nothing any more.
Result<void> replace_route(nl_sock* socket, const Route& guard);
// Removing what is not there is no error.
Result<void> remove_route(nl_sock* socket, const Route& route, int interface);
// One of ours as it was listed, of whatever metric. Errc::not_found when the kernel does not find it by that.
Result<void> remove_route(nl_sock* socket, const KernelRoute& route);
// Of each family in the order of the kernel's questions.
Result<std::vector<KernelRule>> list_rules(nl_sock* socket);
// The rule that has our table asked; also beside one that the kernel takes for its equal.
Result<void> add_rule(nl_sock* socket, IpFamily family);
// All of this priority, table and protocol. Removing what is not there is no error.
Result<void> remove_rules(nl_sock* socket, IpFamily family);
Result<void> add_address(nl_sock* socket, const IpPrefix& address, int interface);
Result<void> remove_address(nl_sock* socket, const IpPrefix& address, int interface);

}  // namespace quipu::netlink
