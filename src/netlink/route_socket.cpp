// SPDX-License-Identifier: Apache-2.0
#include "netlink/route_socket.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "netlink/kernel_routes.h"

namespace quipu::netlink {
namespace {

bool is_guard(const KernelRoute& route) {
  return route.type == RTN_BLACKHOLE && route.metric == Route{route.prefix, Route::Kind::blackhole}.metric();
}

bool carries_packets(const KernelRoute& route) {
  return route.type == RTN_UNICAST;
}

bool is_tunnel(const KernelRoute& route) {
  return carries_packets(route) && route.protocol == kRouteProtocol;
}

bool has_guard(std::span<const KernelRoute> routes, const IpPrefix& prefix) {
  return std::ranges::any_of(routes,
                             [&](const KernelRoute& route) { return route.prefix == prefix && is_guard(route); });
}

// The kernel's own route for an interface address counts as ours when it goes through our interface.
bool has_tunnel(std::span<const KernelRoute> routes, const IpPrefix& prefix, int interface) {
  return std::ranges::any_of(routes, [&](const KernelRoute& route) {
    return route.prefix == prefix && route.interface == interface && carries_packets(route);
  });
}

bool has_address(std::span<const KernelAddress> addresses, const IpPrefix& prefix, int interface) {
  return std::ranges::any_of(addresses, [&](const KernelAddress& address) {
    return address.prefix == prefix && address.interface == interface;
  });
}

// Of one prefix: whether its blackhole exists (Result's value), or why it would not help.
Result<bool> check_prefix(const IpPrefix& prefix, std::span<const KernelRoute> routes, int own_interface) {
  bool guarded = false;
  for (const KernelRoute& route : routes) {
    if (route.prefix != prefix) continue;
    guarded = guarded || is_guard(route);
    if (carries_packets(route) && route.interface != own_interface)
      return fail(Errc::conflict,
                  "protected prefix " + prefix.text() + " is also routed through " + interface_name(route.interface) +
                      " (metric " + std::to_string(route.metric) +
                      "), which would carry its packets in clear when the tunnel is down: remove that route, or choose "
                      "other allowed_ips");
  }
  return guarded;
}

}  // namespace

struct RouteSocket::State {
  NlSocket socket;

  nl_sock* get() const { return socket.get(); }

  // 0 while the interface does not exist.
  Result<int> index_if_any(const std::string& name) const {
    auto index = interface_index(get(), name);
    if (!index && index.error().code == Errc::not_found) return 0;
    return index;
  }

  Result<void> guard(const std::string& link, std::span<const IpPrefix> prefixes) const {
    QUIPU_TRY_ASSIGN(const int own_interface, index_if_any(link));
    QUIPU_TRY_ASSIGN(const auto routes, list_routes(get()));
    Result<void> outcome;
    for (const IpPrefix& prefix : prefixes) {
      Result<bool> guarded = check_prefix(prefix, routes, own_interface);
      Result<void> done;
      if (!guarded)
        done = std::unexpected(std::move(guarded).error());
      else if (!*guarded)
        done = add_route(get(), {prefix, Route::Kind::blackhole}, 0);
      if (!done && outcome) outcome = std::move(done);
    }
    return outcome;
  }

  Result<void> add_addresses(std::span<const IpPrefix> addresses, int interface) const {
    QUIPU_TRY_ASSIGN(const auto present, list_addresses(get()));
    for (const IpPrefix& address : addresses) {
      const auto same = std::find_if(present.begin(), present.end(), [&](const KernelAddress& other) {
        return other.prefix.address == address.address &&
               (other.interface != interface || other.prefix.length == address.length);
      });
      if (same == present.end())
        QUIPU_TRY(add_address(get(), address, interface));
      else if (same->interface != interface)
        return fail(Errc::conflict, "address " + address.address.text() + " is in use on the interface " +
                                        interface_name(same->interface) + ": remove it there, or choose another");
    }
    return {};
  }

  Result<void> add_routes(std::span<const IpPrefix> prefixes, int interface) const {
    QUIPU_TRY_ASSIGN(const auto present, list_routes(get()));
    for (const IpPrefix& prefix : prefixes) {
      if (!has_tunnel(present, prefix, interface))
        QUIPU_TRY(add_route(get(), {prefix, Route::Kind::tunnel}, interface));
    }
    return {};
  }

  Result<void> remove_routes(std::span<const IpPrefix> prefixes, Route::Kind kind, int interface) const {
    for (const IpPrefix& prefix : prefixes)
      QUIPU_TRY(remove_route(get(), {prefix, kind}, interface));
    return {};
  }

  Result<void> remove_addresses(std::span<const IpPrefix> addresses, int interface) const {
    for (const IpPrefix& address : addresses)
      QUIPU_TRY(remove_address(get(), address, interface));
    return {};
  }
};

RouteSocket::RouteSocket(std::unique_ptr<State> state) : m_state(std::move(state)) {}

RouteSocket::RouteSocket(RouteSocket&&) noexcept = default;
RouteSocket& RouteSocket::operator=(RouteSocket&&) noexcept = default;
RouteSocket::~RouteSocket() = default;

Result<RouteSocket> RouteSocket::open() {
  NlSocket socket(nl_socket_alloc());
  QUIPU_ASSERT(socket != nullptr);
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0)
    return std::unexpected(explain("opening a netlink socket", error));
  return RouteSocket(std::make_unique<State>(std::move(socket)));
}

Result<void> RouteSocket::guard(const LinkPlan& plan) {
  return m_state->guard(plan.name, plan.prefixes);
}

Result<void> RouteSocket::apply(const LinkPlan& plan) {
  QUIPU_TRY_ASSIGN(const int interface, interface_index(m_state->get(), plan.name));
  QUIPU_TRY(bring_up(m_state->get(), plan.name, plan.mtu));
  QUIPU_TRY(m_state->add_addresses(plan.addresses, interface));
  return m_state->add_routes(plan.prefixes, interface);
}

Result<void> RouteSocket::apply(const LinkPlan& from, const LinkPlan& to) {
  const LinkChange change = diff(from, to);
  QUIPU_TRY(m_state->guard(to.name, change.add_prefixes));
  QUIPU_TRY_ASSIGN(const int interface, interface_index(m_state->get(), to.name));
  QUIPU_TRY(m_state->remove_routes(change.remove_prefixes, Route::Kind::tunnel, interface));
  QUIPU_TRY(m_state->remove_addresses(change.remove_addresses, interface));
  // Also puts back what somebody else took away, for example the routes that go with a removed address.
  QUIPU_TRY(apply(to));
  return m_state->remove_routes(change.remove_prefixes, Route::Kind::blackhole, 0);
}

Result<void> RouteSocket::remove(const LinkPlan& plan) {
  QUIPU_TRY_ASSIGN(const int interface, m_state->index_if_any(plan.name));
  if (interface == 0) return {};
  QUIPU_TRY(m_state->remove_routes(plan.prefixes, Route::Kind::tunnel, interface));
  QUIPU_TRY(m_state->remove_addresses(plan.addresses, interface));
  return bring_down(m_state->get(), plan.name);
}

Result<std::vector<IpPrefix>> RouteSocket::guards() {
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  std::vector<IpPrefix> out;
  for (const KernelRoute& route : routes)
    if (is_guard(route) && route.protocol == kRouteProtocol) out.push_back(route.prefix);
  std::sort(out.begin(), out.end());
  return out;
}

Result<void> RouteSocket::remove_guards(std::span<const IpPrefix> prefixes) {
  QUIPU_TRY_ASSIGN(const auto present, guards());
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  for (const KernelRoute& route : routes)
    if (is_tunnel(route) && std::ranges::find(prefixes, route.prefix) != prefixes.end())
      return fail(Errc::conflict, "a tunnel carries " + route.prefix.text() + " through " +
                                      interface_name(route.interface) +
                                      ": stop quipud first, or its packets would be in clear when it ends");
  for (const IpPrefix& prefix : prefixes)
    if (std::binary_search(present.begin(), present.end(), prefix))
      QUIPU_TRY(remove_route(m_state->get(), {prefix, Route::Kind::blackhole}, 0));
  return {};
}

Result<Lacking> RouteSocket::lacking(const LinkPlan& plan) {
  QUIPU_TRY_ASSIGN(const int interface, interface_index(m_state->get(), plan.name));
  Lacking out;
  QUIPU_TRY_ASSIGN(out.link_up, is_up(m_state->get(), plan.name));
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  QUIPU_TRY_ASSIGN(const auto addresses, list_addresses(m_state->get()));
  for (const IpPrefix& prefix : plan.prefixes) {
    if (!has_guard(routes, prefix)) out.blackholes.push_back(prefix);
    if (out.link_up && !has_tunnel(routes, prefix, interface)) out.routes.push_back(prefix);
  }
  for (const IpPrefix& address : plan.addresses)
    if (out.link_up && !has_address(addresses, address, interface)) out.addresses.push_back(address);
  return out;
}

Result<std::vector<ForeignRoute>> RouteSocket::foreign_routes(const LinkPlan& plan) {
  QUIPU_TRY_ASSIGN(const int own_interface, m_state->index_if_any(plan.name));
  QUIPU_TRY_ASSIGN(const auto routes, list_routes(m_state->get()));
  std::vector<ForeignRoute> out;
  for (const KernelRoute& route : routes) {
    const bool inside = std::any_of(plan.prefixes.begin(), plan.prefixes.end(), [&](const IpPrefix& prefix) {
      return route.prefix.length >= prefix.length && prefix.contains(route.prefix.address);
    });
    if (inside && carries_packets(route) && route.interface != own_interface)
      out.push_back({route.prefix, interface_name(route.interface), route.metric});
  }
  return out;
}

}  // namespace quipu::netlink
