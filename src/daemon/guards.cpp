// SPDX-License-Identifier: Apache-2.0
#include "daemon/guards.h"

#include <algorithm>

#include "netlink/route_socket.h"
#include "service/files.h"
#include "store/durable_file.h"
#include "store/guard_list.h"

namespace quipu::daemon {
namespace {

constexpr std::size_t kMaxListSize = std::size_t{16} << 20;

}  // namespace

std::string guard_list_file() {
  return service::state_directory("/var/lib/quipu") + "/guards";
}

Result<void> set_guards(const netlink::LinkPlan& plan) {
  QUIPU_TRY_ASSIGN(auto routes, netlink::RouteSocket::open());
  return routes.guard(plan);
}

Result<void> remember_guards(const netlink::LinkPlan& plan) {
  const std::string path = guard_list_file();
  const std::string text = store::encode_guards({plan.prefixes, plan.local_networks});
  // A full disk must not keep a daemon from starting that has nothing new to say.
  if (service::read_text_file(path, kMaxListSize) == text) return {};
  return store::replace_file(path, text);
}

Result<netlink::LinkPlan> remembered_guards() {
  QUIPU_TRY_ASSIGN(const std::string text, service::read_text_file(guard_list_file(), kMaxListSize));
  store::GuardList list = store::decode_guards(text);
  for (std::vector<IpPrefix>* prefixes : {&list.prefixes, &list.local_networks}) {
    std::ranges::sort(*prefixes);
    prefixes->erase(std::unique(prefixes->begin(), prefixes->end()), prefixes->end());
  }
  netlink::LinkPlan plan;
  plan.prefixes = std::move(list.prefixes);
  plan.local_networks = std::move(list.local_networks);
  return plan;
}

Result<std::vector<IpPrefix>> standing_guards() {
  QUIPU_TRY_ASSIGN(auto routes, netlink::RouteSocket::open());
  return routes.guards();
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
