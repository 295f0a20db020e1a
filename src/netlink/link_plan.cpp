// SPDX-License-Identifier: Apache-2.0
#include "netlink/link_plan.h"

#include <limits>

namespace quipu::netlink {
namespace {

constexpr std::size_t kMaxNameSize = 15;

template <class T>
void sort_and_merge(std::vector<T>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

Result<void> check_mtu(const LinkConfig& config) {
  const auto is_v6 = [](const IpPrefix& prefix) { return prefix.address.family == IpFamily::v6; };
  const bool v6 = std::any_of(config.addresses.begin(), config.addresses.end(), is_v6) ||
                  std::any_of(config.allowed_ips.begin(), config.allowed_ips.end(), is_v6);
  const int least = v6 ? kMinMtuV6 : kMinMtuV4;
  if (config.mtu >= least && config.mtu <= kMaxMtu) return {};
  return fail(Errc::out_of_range, config.name + ": MTU " + std::to_string(config.mtu) + ": " + std::to_string(least) +
                                      " to " + std::to_string(kMaxMtu) + " are possible" +
                                      (v6 ? " with IPv6 addresses" : ""));
}

Result<void> check_address(const IpPrefix& address) {
  const bool multicast = address.address.family == IpFamily::v4 ? address.address.octets[0] >> 4 == 0xe
                                                                : address.address.octets[0] == 0xff;
  const bool unspecified = address.address.octets == decltype(address.address.octets){};
  if (!multicast && !unspecified) return {};
  return fail(Errc::out_of_range, "address " + address.text() + ": an interface cannot have it");
}

// A default route becomes two halves: more specific than any default route, so they never compete with one.
Result<void> add_protected(const IpPrefix& prefix, std::vector<IpPrefix>& out) {
  if (prefix != prefix.masked())
    return fail(Errc::out_of_range, "allowed_ips " + prefix.text() + ": bits after the prefix length are set; write " +
                                        prefix.masked().text() + " or " + prefix.address.text());
  if (prefix.length != 0) {
    out.push_back(prefix);
    return {};
  }
  IpPrefix half{prefix.address, 1};
  out.push_back(half);
  half.address.octets[0] = 0x80;
  out.push_back(half);
  return {};
}

Result<void> add_local(const LinkConfig& config, LinkPlan& plan) {
  for (const IpPrefix& network : config.local_networks) {
    if (std::ranges::binary_search(plan.prefixes, network))
      return fail(Errc::conflict, "local_networks " + network.text() +
                                      ": is protected, too: a network is this site's "
                                      "own or lies behind a peer");
    if (longest_match(plan.prefixes, network) >= 0) plan.local_networks.push_back(network);
  }
  sort_and_merge(plan.local_networks);
  return {};
}

std::string_view word_of(Route::Kind kind) {
  switch (kind) {
    case Route::Kind::local: return "throw ";
    case Route::Kind::blackhole: return "blackhole ";
    case Route::Kind::tunnel: return "route ";
  }
  QUIPU_ASSERT(false);
  return {};
}

}  // namespace

std::uint32_t Route::metric() const {
  if (kind == Kind::blackhole) return std::numeric_limits<std::uint32_t>::max();
  // Between the two, so that a reload may turn a protected prefix into a local network and back.
  if (kind == Kind::local) return 2;
  return prefix.address.family == IpFamily::v4 ? 0 : 1;
}

std::string Route::text() const {
  return std::string(word_of(kind)) + prefix.text() + (table == Table::main ? " in main" : "");
}

std::vector<Route> LinkPlan::guards() const {
  std::vector<Route> out;
  out.reserve(local_networks.size() + 2 * prefixes.size());
  for (const IpPrefix& network : local_networks)
    out.push_back({Route::Kind::local, Route::Table::own, network});
  for (const Route::Table table : {Route::Table::own, Route::Table::main})
    for (const IpPrefix& prefix : prefixes)
      out.push_back({Route::Kind::blackhole, table, prefix});
  return out;
}

std::vector<Route> LinkPlan::tunnels() const {
  std::vector<Route> out;
  out.reserve(prefixes.size());
  for (const IpPrefix& prefix : prefixes)
    out.push_back({Route::Kind::tunnel, Route::Table::own, prefix});
  return out;
}

std::vector<IpFamily> LinkPlan::families() const {
  std::vector<IpFamily> out;
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    if (std::ranges::any_of(prefixes, [&](const IpPrefix& prefix) { return prefix.address.family == family; }))
      out.push_back(family);
  return out;
}

bool LinkPlan::protects(const IpPrefix& prefix) const {
  return longest_match(prefixes, prefix) > longest_match(local_networks, prefix);
}

Result<LinkPlan> plan_link(const LinkConfig& config) {
  if (config.name.empty() || config.name.size() > kMaxNameSize)
    return fail(Errc::out_of_range, "interface name \"" + config.name + "\": 1 to 15 characters are possible");
  QUIPU_TRY(check_mtu(config));
  LinkPlan plan{config.name, config.mtu, config.addresses, {}, {}};
  for (const IpPrefix& address : config.addresses)
    QUIPU_TRY(check_address(address));
  sort_and_merge(plan.addresses);
  QUIPU_TRY_ASSIGN(plan.prefixes, protected_prefixes(config.allowed_ips));
  QUIPU_TRY(add_local(config, plan));
  for (const IpAddress& endpoint : config.endpoints)
    QUIPU_TRY(check_endpoint(plan, endpoint));
  return plan;
}

Result<std::vector<IpPrefix>> protected_prefixes(std::span<const IpPrefix> allowed_ips) {
  std::vector<IpPrefix> out;
  for (const IpPrefix& prefix : allowed_ips)
    QUIPU_TRY(add_protected(prefix, out));
  sort_and_merge(out);
  return out;
}

Result<void> check_endpoint(const LinkPlan& plan, const IpAddress& endpoint) {
  if (!plan.protects({endpoint, endpoint.bits()})) return {};
  const auto holder = std::ranges::find_if(plan.prefixes, [&](const IpPrefix& p) { return p.contains(endpoint); });
  return fail(Errc::conflict, "endpoint " + endpoint.text() + " lies inside the protected prefix " + holder->text() +
                                  ": the tunnel's own datagrams would be routed into the tunnel; list allowed_ips that "
                                  "leave this address out, or its network in device.local_networks if it is this "
                                  "site's own");
}

}  // namespace quipu::netlink
