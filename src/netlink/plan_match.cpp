// SPDX-License-Identifier: Apache-2.0
#include "netlink/plan_match.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <iterator>

#include "netlink/route_socket.h"

namespace quipu::netlink {
namespace {

bool is_local_table(const KernelRule& rule) {
  return rule.action == FR_ACT_TO_TBL && rule.table == RT_TABLE_LOCAL;
}

bool is_own_table(const KernelRule& rule) {
  return rule.action == FR_ACT_TO_TBL && rule.table == kRouteTable;
}

// Somebody else's that says the same is as good as ours; one that leaves packets out is not.
bool is_guard(const KernelRule& rule) {
  return is_own_table(rule) && rule.priority == kRulePriority && rule.for_all_packets;
}

bool is_last(const KernelRoute& route) {
  return route.metric == Route{Route::Kind::blackhole, Route::Table::own, route.prefix}.metric();
}

// As a plan would have it, if it could be a plan's: somebody else's that drops is as good as a blackhole of ours.
std::optional<Route> as_planned(const KernelRoute& route, int own_interface) {
  if (route.tos != 0 || route.source) return std::nullopt;
  if (drops(route) && is_last(route)) return Route{Route::Kind::blackhole, route.table, route.prefix};
  if (route.table != Route::Table::own) return std::nullopt;
  if (route.type == RTN_THROW) return Route{Route::Kind::local, route.table, route.prefix};
  if (route.type == RTN_UNICAST && route.interface == own_interface && own_interface != 0)
    return Route{Route::Kind::tunnel, route.table, route.prefix};
  return std::nullopt;
}

// The kernel deletes the first route that fits what it is asked for. That leaves out the hops of one that has several:
// ours could be it.
bool could_take_ours(const KernelRoute& route, std::span<const KernelRoute> routes, int own_interface) {
  if (route.source || route.type != RTN_UNICAST || route.interface != 0) return false;
  return std::ranges::any_of(routes, [&](const KernelRoute& other) {
    return as_planned(other, own_interface) && other.prefix == route.prefix && other.table == route.table &&
           other.metric == route.metric;
  });
}

std::vector<KernelRoute> in_place_of(const Route& guard, std::span<const KernelRoute> routes) {
  std::vector<KernelRoute> out;
  std::ranges::copy_if(routes, std::back_inserter(out), [&](const KernelRoute& route) {
    return route.prefix == guard.prefix && route.table == guard.table && route.metric == guard.metric() &&
           route.tos == 0 && !route.source;
  });
  return out;
}

bool is_link_local(const IpPrefix& prefix) {
  return prefix.address.family == IpFamily::v6 && IpPrefix::parse("fe80::/10")->contains(prefix);
}

template <class T>
std::vector<T> united(const std::vector<T>& one, const std::vector<T>& other) {
  std::vector<T> out;
  std::ranges::set_union(one, other, std::back_inserter(out));
  return out;
}

}  // namespace

bool comes_before_ours(const KernelRule& rule) {
  const bool routes = rule.action == FR_ACT_TO_TBL || rule.action == FR_ACT_GOTO;
  return rule.priority <= kRulePriority && routes && !is_local_table(rule) && !is_own_table(rule);
}

bool has_guard(std::span<const KernelRule> rules, IpFamily family) {
  return std::ranges::any_of(rules, [&](const KernelRule& rule) { return rule.family == family && is_guard(rule); });
}

bool is_blackhole(const KernelRoute& route) {
  return route.type == RTN_BLACKHOLE && is_last(route);
}

bool drops(const KernelRoute& route) {
  return route.type == RTN_BLACKHOLE || route.type == RTN_UNREACHABLE || route.type == RTN_PROHIBIT;
}

bool leads_away(const KernelRoute& route, const LinkPlan& plan, int own_interface) {
  if (route.table != Route::Table::own || !plan.protects(route.prefix)) return false;
  if (route.source) return true;  // the kernel then leaves out those to the same prefix that are for all sources
  if (drops(route)) return false;
  return route.type != RTN_UNICAST || (own_interface != 0 && route.interface != own_interface);
}

bool goes_around(const KernelRoute& route, const LinkPlan& plan, int own_interface) {
  if (route.table != Route::Table::local || route.interface == own_interface) return false;
  return plan.protects(route.prefix) ||
         std::ranges::any_of(plan.prefixes, [&](const IpPrefix& prefix) { return route.prefix.contains(prefix); });
}

bool is_tunnel(const KernelRoute& route) {
  return route.protocol == kRouteProtocol && route.type == RTN_UNICAST;
}

bool is_superseded(const KernelRoute& route, const LinkPlan& plan, std::span<const KernelRoute> routes) {
  return is_blackhole(route) && longest_match(plan.prefixes, route.prefix) >= 0 &&
         !std::ranges::binary_search(plan.prefixes, route.prefix) &&
         std::ranges::none_of(
             routes, [&](const KernelRoute& other) { return is_tunnel(other) && other.prefix == route.prefix; });
}

std::vector<Route> planned(std::span<const KernelRoute> routes, int own_interface) {
  std::vector<Route> out;
  for (const KernelRoute& route : routes)
    if (const auto found = as_planned(route, own_interface)) out.push_back(*found);
  std::ranges::sort(out);
  return out;
}

bool is_connected(const KernelRoute& route, int own_interface) {
  return route.table == Route::Table::main && route.type == RTN_UNICAST && route.protocol == RTPROT_KERNEL &&
         route.interface != own_interface && !is_link_local(route.prefix);
}

bool has_address(std::span<const KernelAddress> addresses, const IpPrefix& prefix, int interface) {
  return std::ranges::any_of(addresses, [&](const KernelAddress& address) {
    return address.prefix == prefix && address.interface == interface;
  });
}

std::string name_of(IpFamily family) {
  return family == IpFamily::v4 ? "IPv4" : "IPv6";
}

std::string text_of(const KernelRule& rule) {
  return name_of(rule.family) + " rule of priority " + std::to_string(rule.priority) +
         (rule.action == FR_ACT_GOTO ? std::string(" (goto)") : " (table " + std::to_string(rule.table) + ")");
}

LinkPlan between(const LinkPlan& from, LinkPlan to) {
  std::vector<IpPrefix> local = united(from.local_networks, to.local_networks);
  std::erase_if(local, [&](const IpPrefix& network) { return from.protects(network) || to.protects(network); });
  to.local_networks = std::move(local);
  to.prefixes = united(from.prefixes, to.prefixes);
  return to;
}

std::string stale_text(const KernelRoute& route) {
  const char* word = route.type == RTN_THROW ? "throw " : route.type == RTN_BLACKHOLE ? "blackhole " : "route ";
  return std::string("removal of the ") + word + route.prefix.text();
}

Error by_hand(const KernelRoute& route, const Error& why) {
  const std::string ip = route.prefix.address.family == IpFamily::v4 ? "ip" : "ip -6";
  return {why.code, stale_text(route) + ": " + why.text + ": remove it by hand, as '" + ip +
                        " route show table all proto " + std::to_string(kRouteProtocol) + "' shows it"};
}

Result<void> check_removable(const KernelRoute& route, std::span<const KernelRoute> routes, int own_interface) {
  if (!could_take_ours(route, routes, own_interface)) return {};
  return std::unexpected(by_hand(route, {Errc::conflict, "it is like ours in all but its hops"}));
}

bool may_replace(const Route& guard, std::span<const KernelRoute> routes) {
  const std::vector<KernelRoute> there = in_place_of(guard, routes);
  return there.size() == 1 && there.front().protocol == kRouteProtocol;
}

Result<void> check_place(const Route& guard, std::span<const KernelRoute> routes) {
  if (in_place_of(guard, routes).empty() || may_replace(guard, routes)) return {};
  return fail(Errc::conflict,
              "another route has the place of the " + guard.text() + " and its metric: remove that one");
}

}  // namespace quipu::netlink
