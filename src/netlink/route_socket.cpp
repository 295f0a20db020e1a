// SPDX-License-Identifier: Apache-2.0
#include "netlink/route_socket.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <iterator>

#include "netlink/kernel_routes.h"
#include "netlink/plan_match.h"

namespace quipu::netlink {
namespace {

Result<NlSocket> connect() {
  NlSocket socket(nl_socket_alloc());
  QUIPU_ASSERT(socket != nullptr);
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0)
    return std::unexpected(explain("opening a netlink socket", error));
  return socket;
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

  // A tunnel takes no other's place: that could be the tunnel of another daemon.
  Result<void> set_route(const Route& route, std::span<const KernelRoute> present, int interface) const {
    const bool is_guard = route.kind != Route::Kind::tunnel;
    return is_guard && may_replace(route, present) ? replace_route(get(), route) : add_route(get(), route, interface);
  }

  // Those of `wanted` that are not there yet. All are tried; the error is the first one's that is missing then:
  // somebody else may have added the very same meanwhile, such as quipu-guard.
  Result<void> add_routes(const std::vector<Route>& wanted, std::span<const KernelRoute> present, int interface) {
    std::vector<std::pair<Route, Error>> failures;
    for (const Route& route : missing_from(wanted, planned(present, interface)))
      if (const auto added = counted(set_route(route, present, interface)); !added)
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
  const std::vector<Route> present = planned(routes, interface);
  // What `from` protects is no local network in between, and may be one in the end.
  for (const LinkPlan* plan : {&both, &to})
    for (const Route& guard : missing_from(plan->guards(), present))
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
