// SPDX-License-Identifier: Apache-2.0
#include "netlink/link_plan.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace quipu::netlink {
namespace {

constexpr std::size_t kMaxNameSize = 15;

template <class T>
void sort_and_merge(std::vector<T>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

template <class T>
std::vector<T> missing_from(const std::vector<T>& wanted, const std::vector<T>& present) {
  std::vector<T> out;
  std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(), std::back_inserter(out));
  return out;
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

}  // namespace

std::uint32_t Route::metric() const {
  if (kind == Kind::blackhole) return std::numeric_limits<std::uint32_t>::max();
  return prefix.address.family == IpFamily::v4 ? 0 : 1;
}

std::vector<Route> LinkPlan::routes(Route::Kind kind) const {
  std::vector<Route> out;
  out.reserve(prefixes.size());
  for (const IpPrefix& prefix : prefixes)
    out.push_back({prefix, kind});
  return out;
}

Result<LinkPlan> plan_link(const LinkConfig& config) {
  if (config.name.empty() || config.name.size() > kMaxNameSize)
    return fail(Errc::out_of_range, "interface name \"" + config.name + "\": 1 to 15 characters are possible");
  QUIPU_TRY(check_mtu(config));
  LinkPlan plan{config.name, config.mtu, config.addresses, {}};
  for (const IpPrefix& address : config.addresses)
    QUIPU_TRY(check_address(address));
  sort_and_merge(plan.addresses);
  QUIPU_TRY_ASSIGN(plan.prefixes, protected_prefixes(config.allowed_ips));
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
  for (const IpPrefix& prefix : plan.prefixes)
    if (prefix.contains(endpoint))
      return fail(Errc::conflict, "endpoint " + endpoint.text() + " lies inside the protected prefix " + prefix.text() +
                                      ": the tunnel's own datagrams would be routed into the tunnel; list allowed_ips "
                                      "that leave this address out");
  return {};
}

LinkChange diff(const LinkPlan& from, const LinkPlan& to) {
  QUIPU_ASSERT(from.name == to.name);
  return {
      .add_prefixes = missing_from(to.prefixes, from.prefixes),
      .remove_prefixes = missing_from(from.prefixes, to.prefixes),
      .add_addresses = missing_from(to.addresses, from.addresses),
      .remove_addresses = missing_from(from.addresses, to.addresses),
      .mtu = from.mtu != to.mtu,
  };
}

}  // namespace quipu::netlink
