// SPDX-License-Identifier: Apache-2.0
#include "netlink/route_socket.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <iterator>

#include "netlink/kernel_routes.h"

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

// It decides where packets go, before our rule is asked; one that drops them does no harm.
bool comes_before_ours(const KernelRule& rule) {
  const bool routes = rule.action == FR_ACT_TO_TBL || rule.action == FR_ACT_GOTO;
  return rule.priority <= kRulePriority && routes && !is_local_table(rule) && !is_own_table(rule);
}

bool has_guard(std::span<const KernelRule> rules, IpFamily family) {
  return std::ranges::any_of(rules, [&](const KernelRule& rule) { return rule.family == family && is_guard(rule); });
}

bool is_last(const KernelRoute& route) {
  return route.metric == Route{Route::Kind::blackhole, Route::Table::own, route.prefix}.metric();
}

bool is_blackhole(const KernelRoute& route) {
  return route.type == RTN_BLACKHOLE && is_last(route);
}

// Whoever set it: no packet that it is for is routed elsewhere.
bool drops(const KernelRoute& route) {
  return route.type == RTN_BLACKHOLE || route.type == RTN_UNREACHABLE || route.type == RTN_PROHIBIT;
}

// It leaves packets of a protected prefix to others: by a throw, or to anything but our own interface. While that does
// not exist (0), nobody can tell whose interface another one is.
bool leads_away(const KernelRoute& route, const LinkPlan& plan, int own_interface) {
  if (route.table != Route::Table::own || !plan.protects(route.prefix)) return false;
  if (route.source) return true;  // the kernel then leaves out those to the same prefix that are for all sources
  if (drops(route)) return false;
  return route.type != RTN_UNICAST || (own_interface != 0 && route.interface != own_interface);
}

// In the table that is asked before ours, where a wider route takes protected packets, too.
bool goes_around(const KernelRoute& route, const LinkPlan& plan, int own_interface) {
  if (route.table != Route::Table::local || route.interface == own_interface) return false;
  return plan.protects(route.prefix) ||
         std::ranges::any_of(plan.prefixes, [&](const IpPrefix& prefix) { return route.prefix.contains(prefix); });
}

// Of ours by its protocol, into a tunnel: whichever daemon's.
bool is_tunnel(const KernelRoute& route) {
  return route.protocol == kRouteProtocol && route.type == RTN_UNICAST;
}

// An older configuration's: within a prefix of the plan, whose guards decide by now, it drops what goes into the tunnel
// or, in a local network, to the main table. Behind a tunnel of its own it is that one's guard.
bool is_superseded(const KernelRoute& route, const LinkPlan& plan, std::span<const KernelRoute> routes) {
  return is_blackhole(route) && longest_match(plan.prefixes, route.prefix) >= 0 &&
         !std::ranges::binary_search(plan.prefixes, route.prefix) &&
         std::ranges::none_of(
             routes, [&](const KernelRoute& other) { return is_tunnel(other) && other.prefix == route.prefix; });
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

std::vector<Route> planned(std::span<const KernelRoute> routes, int own_interface) {
  std::vector<Route> out;
  for (const KernelRoute& route : routes)
    if (const auto found = as_planned(route, own_interface)) out.push_back(*found);
  std::ranges::sort(out);
  return out;
}

bool is_link_local(const IpPrefix& prefix) {
  return prefix.address.family == IpFamily::v6 && IpPrefix::parse("fe80::/10")->contains(prefix);
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

Result<NlSocket> connect() {
  NlSocket socket(nl_socket_alloc());
  QUIPU_ASSERT(socket != nullptr);
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0)
    return std::unexpected(explain("opening a netlink socket", error));
  return socket;
}

template <class T>
std::vector<T> united(const std::vector<T>& one, const std::vector<T>& other) {
  std::vector<T> out;
  std::ranges::set_union(one, other, std::back_inserter(out));
  return out;
}

// While a plan changes: what either protects is protected, and what neither does is local, if it is so for one of them.
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

// The kernel would refuse a guard there.
Result<void> check_place(const Route& guard, std::span<const KernelRoute> routes) {
  const auto taken = std::ranges::find_if(routes, [&](const KernelRoute& route) {
    return route.prefix == guard.prefix && route.table == guard.table && route.metric == guard.metric() &&
           route.tos == 0 && !route.source;
  });
  if (taken == routes.end()) return {};
  return fail(Errc::conflict,
              "another route has the place of the " + guard.text() + " and its metric: remove that one");
}

}  // namespace

struct RouteSocket::State {
  NlSocket socket;
  std::uint64_t changes = 0;
  int own = 0;  // interface index; 0: whichever has the name

  nl_sock* get() const { return socket.get(); }

  Result<void> counted(Result<void> change) {
    if (change) ++changes;
    return change;
  }

  // First in each call: what one that failed has left unread would be taken for an answer to the next. Where none is to
  // be had, the old one has to do.
  void renew() {
    if (auto fresh = connect()) socket = std::move(*fresh);
  }

  Result<int> index_of(const std::string& name) const {
    QUIPU_TRY_ASSIGN(const int index, interface_index(get(), name));
    if (own != 0 && index != own) return fail(Errc::not_found, name + " does not exist: another one has its name");
    return index;
  }

  // 0 while the interface does not exist.
  Result<int> index_if_any(const std::string& name) const {
    auto index = index_of(name);
    if (!index && index.error().code == Errc::not_found) return 0;
    return index;
  }

  // Those of `wanted` that are not there yet. All are tried; the error is the first one's that is missing then:
  // somebody else may have added the very same meanwhile, such as quipu-guard.
  Result<void> add_routes(const std::vector<Route>& wanted, std::span<const KernelRoute> present, int interface) {
    std::vector<std::pair<Route, Error>> failures;
    for (const Route& route : missing_from(wanted, planned(present, interface)))
      if (const auto added = counted(add_route(get(), route, interface)); !added)
        failures.emplace_back(route, added.error());
    if (failures.empty()) return {};
    QUIPU_TRY_ASSIGN(const auto now, list_routes(get()));
    std::erase_if(failures, [there = planned(now, interface)](const auto& failure) {
      return std::ranges::binary_search(there, failure.first);
    });
    return failures.empty() ? Result<void>() : std::unexpected(failures.front().second);
  }

  // As they were listed. All are tried; the error is the first one's that stands then: somebody else may have removed
  // it meanwhile, which the kernel says of one as well that stands and is more than we can ask for.
  Result<void> remove_listed(std::span<const KernelRoute> routes) {
    std::vector<std::pair<KernelRoute, Error>> failures;
    for (const KernelRoute& route : routes)
      if (const auto removed = counted(remove_route(get(), route)); !removed)
        failures.emplace_back(route, removed.error());
    if (failures.empty()) return {};
    QUIPU_TRY_ASSIGN(const auto now, list_routes(get()));
    std::erase_if(failures, [&](const auto& failure) { return std::ranges::find(now, failure.first) == now.end(); });
    if (failures.empty()) return {};
    return std::unexpected(by_hand(failures.front().first, failures.front().second));
  }

  // What is ours by its protocol and leads around the plan's guards. All are tried; the error is one of theirs.
  Result<void> remove_leaks(const LinkPlan& plan) {
    QUIPU_TRY_ASSIGN(const auto routes, list_routes(get()));
    const int interface = own != 0 ? own : plan.name.empty() ? 0 : index_if_any(plan.name).value_or(0);
    Result<void> all_can;
    std::vector<KernelRoute> leaks;
    for (const KernelRoute& route : routes) {
      if (route.protocol != kRouteProtocol || !leads_away(route, plan, interface)) continue;
      Result<void> can = check_removable(route, routes, interface);
      if (can)
        leaks.push_back(route);
      else if (all_can)
        all_can = std::move(can);
    }
    QUIPU_TRY(remove_listed(leaks));
    return all_can;
  }

  // As above.
  Result<void> remove_superseded(const LinkPlan& plan) {
    QUIPU_TRY_ASSIGN(const auto routes, list_routes(get()));
    std::vector<KernelRoute> superseded;
    std::ranges::copy_if(routes, std::back_inserter(superseded), [&](const KernelRoute& route) {
      return route.protocol == kRouteProtocol && is_superseded(route, plan, routes);
    });
    return remove_listed(superseded);
  }

  Result<void> add_rules(const LinkPlan& plan) {
    QUIPU_TRY_ASSIGN(const auto rules, list_rules(get()));
    for (const IpFamily family : plan.families())
      if (!has_guard(rules, family)) QUIPU_TRY(counted(add_rule(get(), family)));
    return {};
  }

  // What the plan guards is guarded, and nothing of ours leads around it.
  Result<void> set_guards(const LinkPlan& plan) {
    QUIPU_TRY_ASSIGN(const auto present, list_routes(get()));
    const Result<void> routes = add_routes(plan.guards(), present, 0);
    const Result<void> rules = add_rules(plan);
    // It looks again: what was added just now is not to be taken for another's.
    const Result<void> leaks = remove_leaks(plan);
    QUIPU_TRY(routes);
    QUIPU_TRY(rules);
    return leaks;
  }

  // While nothing of a family is dropped there, our table has nothing to say about it.
  Result<void> remove_idle_rules(std::span<const IpPrefix> removed) {
    QUIPU_TRY_ASSIGN(auto routes, list_routes(get()));
    std::erase_if(routes, [](const KernelRoute& route) { return route.table != Route::Table::own; });
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
      const auto of_family = [family](const IpPrefix& prefix) { return prefix.address.family == family; };
      if (std::ranges::none_of(removed, of_family)) continue;
      if (std::ranges::any_of(routes, [&](const KernelRoute& r) { return of_family(r.prefix) && drops(r); })) continue;
      QUIPU_TRY(remove_rules(get(), family));
      std::vector<KernelRoute> idle;
      std::ranges::copy_if(routes, std::back_inserter(idle), [&](const KernelRoute& route) {
        return of_family(route.prefix) && route.type == RTN_THROW && route.protocol == kRouteProtocol;
      });
      QUIPU_TRY(remove_listed(idle));
    }
    return {};
  }

  // All are tried; the error is the first one's.
  Result<void> add_addresses(std::span<const IpPrefix> addresses, int interface) {
    QUIPU_TRY_ASSIGN(const auto present, list_addresses(get()));
    Result<void> outcome;
    for (const IpPrefix& address : addresses) {
      const auto same = std::find_if(present.begin(), present.end(), [&](const KernelAddress& other) {
        return other.prefix.address == address.address &&
               (other.interface != interface || other.prefix.length == address.length);
      });
      Result<void> added;
      if (same == present.end())
        added = counted(add_address(get(), address, interface));
      else if (same->interface != interface)
        added = fail(Errc::conflict, "address " + address.address.text() + " is in use on the interface " +
                                         interface_name(same->interface) + ": remove it there, or choose another");
      if (!added && outcome) outcome = std::move(added);
    }
    return outcome;
  }

  Result<void> remove_routes(const std::vector<Route>& routes, int interface) const {
    for (const Route& route : routes)
      QUIPU_TRY(remove_route(get(), route, interface));
    return {};
  }

  Result<void> remove_addresses(std::span<const IpPrefix> addresses, int interface) const {
    for (const IpPrefix& address : addresses)
      QUIPU_TRY(remove_address(get(), address, interface));
    return {};
  }

  Result<void> inspect_rules(const LinkPlan& plan, Findings& out) const {
    QUIPU_TRY_ASSIGN(const auto rules, list_rules(get()));
    for (const IpFamily family : plan.families()) {
      if (!has_guard(rules, family))
        out.missing_guards.push_back(name_of(family) + " rule of priority " + std::to_string(kRulePriority));
      for (const KernelRule& rule : rules)
        if (rule.family == family && comes_before_ours(rule)) out.bypasses.push_back(text_of(rule));
    }
    return {};
  }
};

RouteSocket::RouteSocket(std::unique_ptr<State> state) : m_state(std::move(state)) {}

RouteSocket::RouteSocket(RouteSocket&&) noexcept = default;
RouteSocket& RouteSocket::operator=(RouteSocket&&) noexcept = default;
RouteSocket::~RouteSocket() = default;

Result<RouteSocket> RouteSocket::open() {
  QUIPU_TRY_ASSIGN(NlSocket socket, connect());
  return RouteSocket(std::make_unique<State>(std::move(socket)));
}

Result<void> RouteSocket::guard(const LinkPlan& plan) {
  m_state->renew();
  QUIPU_TRY(m_state->set_guards(plan));
  return m_state->remove_superseded(plan);
}

Result<void> RouteSocket::own(const std::string& interface) {
  m_state->renew();
  QUIPU_TRY_ASSIGN(m_state->own, interface_index(m_state->get(), interface));
  return {};
}

Result<void> RouteSocket::apply(const LinkPlan& plan) {
  m_state->renew();
  QUIPU_TRY_ASSIGN(const int interface, m_state->index_of(plan.name));
  QUIPU_TRY(bring_up(m_state->get(), plan.name, plan.mtu));
  const Result<void> addresses = m_state->add_addresses(plan.addresses, interface);
  QUIPU_TRY_ASSIGN(const auto present, list_routes(m_state->get()));
  QUIPU_TRY(m_state->add_routes(plan.tunnels(), present, interface));
  return addresses;
}

Result<void> RouteSocket::check_change(const LinkPlan& from, const LinkPlan& to) {
  m_state->renew();
  QUIPU_TRY_ASSIGN(const int interface, m_state->index_of(to.name));
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  const LinkPlan both = between(from, to);
  for (const KernelRoute& route : routes)
    if (route.protocol == kRouteProtocol && leads_away(route, both, interface))
      QUIPU_TRY(check_removable(route, routes, interface));
  for (const Route& guard : missing_from(both.guards(), planned(routes, interface)))
    QUIPU_TRY(check_place(guard, routes));
  return {};
}

Result<void> RouteSocket::apply(const LinkPlan& from, const LinkPlan& to, std::span<const IpPrefix> kept) {
  QUIPU_ASSERT(from.name == to.name);
  m_state->renew();
  QUIPU_TRY_ASSIGN(const int interface, m_state->index_of(to.name));
  QUIPU_TRY(m_state->set_guards(between(from, to)));
  QUIPU_TRY(m_state->remove_routes(missing_from(from.tunnels(), to.tunnels()), interface));
  QUIPU_TRY(m_state->remove_addresses(missing_from(from.addresses, to.addresses), interface));
  // Also puts back what somebody else took away, for example the routes that go with a removed address.
  QUIPU_TRY(apply(to));
  QUIPU_TRY(m_state->set_guards(to));
  std::vector<Route> left = missing_from(from.guards(), to.guards());
  std::erase_if(left, [&](const Route& route) {
    return route.kind == Route::Kind::blackhole && std::ranges::find(kept, route.prefix) != kept.end();
  });
  std::ranges::reverse(left);  // what closes goes before what opens
  QUIPU_TRY(m_state->remove_routes(left, 0));
  QUIPU_TRY(m_state->remove_idle_rules(from.prefixes));
  // Last: where a step fails, what an older configuration protects is so still.
  return m_state->remove_superseded(to);
}

Result<void> RouteSocket::remove(const LinkPlan& plan) {
  m_state->renew();
  QUIPU_TRY_ASSIGN(const int interface, m_state->index_if_any(plan.name));
  if (interface == 0) return {};
  QUIPU_TRY(m_state->remove_routes(plan.tunnels(), interface));
  QUIPU_TRY(m_state->remove_addresses(plan.addresses, interface));
  return bring_down(m_state->get(), plan.name);
}

Result<std::vector<IpPrefix>> RouteSocket::guards() {
  m_state->renew();
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  std::vector<IpPrefix> out;
  for (const KernelRoute& route : routes)
    if (is_blackhole(route) && route.protocol == kRouteProtocol) out.push_back(route.prefix);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());  // each stands in both tables
  return out;
}

Result<void> RouteSocket::remove_guards(std::span<const IpPrefix> prefixes) {
  m_state->renew();
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  std::vector<KernelRoute> blackholes;
  for (const KernelRoute& route : routes) {
    if (route.protocol != kRouteProtocol || std::ranges::find(prefixes, route.prefix) == prefixes.end()) continue;
    if (is_tunnel(route))
      return fail(Errc::conflict, "a tunnel carries " + route.prefix.text() + " through " +
                                      interface_name(route.interface) +
                                      ": stop quipud first, or its packets would be in clear when it ends");
    if (is_blackhole(route)) blackholes.push_back(route);
  }
  QUIPU_TRY(m_state->remove_listed(blackholes));
  return m_state->remove_idle_rules(prefixes);
}

Result<Findings> RouteSocket::inspect(const LinkPlan& plan) {
  m_state->renew();
  QUIPU_TRY_ASSIGN(const int interface, m_state->index_of(plan.name));
  Findings out;
  QUIPU_TRY_ASSIGN(out.link_up, is_up(m_state->get(), plan.name));
  QUIPU_TRY(m_state->inspect_rules(plan, out));
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  const std::vector<Route> present = planned(routes, interface);
  for (const Route& route : missing_from(plan.guards(), present))
    out.missing_guards.push_back(route.text());
  for (const KernelRoute& route : routes) {
    const bool ours = route.protocol == kRouteProtocol;
    const bool away = leads_away(route, plan, interface);
    if (ours && (away || is_superseded(route, plan, routes)))
      out.missing_guards.push_back(stale_text(route));
    else if (away)
      out.bypasses.push_back("route to " + route.prefix.text() + " in table " + std::to_string(kRouteTable));
    else if (goes_around(route, plan, interface))
      out.bypasses.push_back("route to " + route.prefix.text() + " in table local");
    if (is_connected(route, interface) && plan.protects(route.prefix))
      out.connected.push_back({route.prefix, interface_name(route.interface)});
  }
  if (!out.link_up) return out;
  for (const Route& route : missing_from(plan.tunnels(), present))
    out.missing_tunnels.push_back(route.text());
  QUIPU_TRY_ASSIGN(const auto addresses, list_addresses(m_state->get()));
  for (const IpPrefix& address : plan.addresses)
    if (!has_address(addresses, address, interface)) out.missing_tunnels.push_back("address " + address.text());
  return out;
}

std::uint64_t RouteSocket::changes() const {
  return m_state->changes;
}

}  // namespace quipu::netlink
