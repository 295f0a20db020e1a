// SPDX-License-Identifier: Apache-2.0
// What the kernel has, judged by a link plan: which route or rule is as the plan wants it, leads around it, or is left
// over. Nothing here touches the kernel. `own_interface` is the index of the plan's interface; 0 while there is none.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "netlink/kernel_routes.h"

namespace quipu::netlink {

// It decides where packets go, before our rule is asked; one that drops them does no harm.
bool comes_before_ours(const KernelRule& rule);
bool has_guard(std::span<const KernelRule> rules, IpFamily family);

bool is_blackhole(const KernelRoute& route);
// Whoever set it: no packet that it is for is routed elsewhere.
bool drops(const KernelRoute& route);
// It leaves packets of a protected prefix to others: by a throw, or to anything but our own interface. While that does
// not exist, nobody can tell whose interface another one is.
bool leads_away(const KernelRoute& route, const LinkPlan& plan, int own_interface);
// In the table that is asked before ours, where a wider route takes protected packets, too.
bool goes_around(const KernelRoute& route, const LinkPlan& plan, int own_interface);
// Of ours by its protocol, into a tunnel: whichever daemon's.
bool is_tunnel(const KernelRoute& route);
// An older configuration's: within a prefix of the plan, whose guards decide by now, it drops what goes into the tunnel
// or, in a local network, to the main table. Behind a tunnel of its own it is that one's guard.
bool is_superseded(const KernelRoute& route, const LinkPlan& plan, std::span<const KernelRoute> routes);
// A network at another interface, as the kernel itself adds it.
bool is_connected(const KernelRoute& route, int own_interface);
bool has_address(std::span<const KernelAddress> addresses, const IpPrefix& prefix, int interface);

// Those that could be a plan's, sorted: somebody else's that drops is as good as a blackhole of ours.
std::vector<Route> planned(std::span<const KernelRoute> routes, int own_interface);
// While a plan changes: what either protects is protected, and what neither does is local, if it is so for one of them.
LinkPlan between(const LinkPlan& from, LinkPlan to);

// "IPv4"
std::string name_of(IpFamily family);
// "IPv4 rule of priority 9 (table 100)"
std::string text_of(const KernelRule& rule);
// "removal of the throw 10.2.9.0/24"
std::string stale_text(const KernelRoute& route);
// Why it could not be removed, and what an admin does then.
Error by_hand(const KernelRoute& route, const Error& why);
// Errc::conflict where the kernel could remove a good one of ours instead.
Result<void> check_removable(const KernelRoute& route, std::span<const KernelRoute> routes, int own_interface);
// What has the guard's place (the kernel would refuse the guard) is of our protocol: no plan has anything else there,
// so it may be replaced. Where two have it, the kernel would not say which one it takes.
bool may_replace(const Route& guard, std::span<const KernelRoute> routes);
// Errc::conflict where the guard's place is taken, and not by what may be replaced.
Result<void> check_place(const Route& guard, std::span<const KernelRoute> routes);

}  // namespace quipu::netlink
