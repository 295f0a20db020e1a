// SPDX-License-Identifier: Apache-2.0
#include "daemon/guards.h"

#include <algorithm>

#include "netlink/route_socket.h"

namespace quipu::daemon {

Result<void> set_guards(const netlink::LinkPlan& plan) {
  QUIPU_TRY_ASSIGN(auto routes, netlink::RouteSocket::open());
  return routes.guard(plan);
}

Result<RemovedGuards> remove_guards(const std::vector<IpPrefix>& prefixes) {
  QUIPU_TRY_ASSIGN(auto routes, netlink::RouteSocket::open());
  QUIPU_TRY_ASSIGN(const auto before, routes.guards());
  QUIPU_TRY(routes.remove_guards(prefixes));
  RemovedGuards out;
  QUIPU_TRY_ASSIGN(out.left, routes.guards());
  std::ranges::set_difference(before, out.left, std::back_inserter(out.removed));
  return out;
}

Result<std::vector<IpPrefix>> parse_prefixes(const std::vector<std::string>& texts) {
  std::vector<IpPrefix> out;
  for (const std::string& text : texts) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix)
      return fail(Errc::malformed, "\"" + text + "\" is not a prefix: write it as in 10.2.0.0/16 or fd02::/64");
    out.push_back(*prefix);
  }
  return netlink::protected_prefixes(out);
}

}  // namespace quipu::daemon
