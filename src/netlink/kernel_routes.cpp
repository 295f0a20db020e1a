// SPDX-License-Identifier: Apache-2.0
#include "netlink/kernel_routes.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <netlink/route/rtnl.h>
#include <netlink/route/rule.h>

#include <array>
#include <limits>

#include "base/freed_by.h"
#include "netlink/route_socket.h"

namespace quipu::netlink {
namespace {

constexpr int kDumpAttempts = 5;  // a dump starts over when the table changes under it

using NlCallbacks = std::unique_ptr<nl_cb, FreedBy<nl_cb_put>>;
using NlAddress = std::unique_ptr<nl_addr, FreedBy<nl_addr_put>>;
using NlCache = std::unique_ptr<nl_cache, FreedBy<nl_cache_free>>;
using NlLink = std::unique_ptr<rtnl_link, FreedBy<rtnl_link_put>>;
using NlRoute = std::unique_ptr<rtnl_route, FreedBy<rtnl_route_put>>;
using NlRule = std::unique_ptr<rtnl_rule, FreedBy<rtnl_rule_put>>;
using NlInterfaceAddress = std::unique_ptr<rtnl_addr, FreedBy<rtnl_addr_put>>;

int system_family(IpFamily family) {
  return family == IpFamily::v4 ? AF_INET : AF_INET6;
}

NlAddress to_nl(const IpPrefix& prefix) {
  const ByteView octets = prefix.address.view();
  NlAddress out(nl_addr_build(system_family(prefix.address.family), octets.data(), octets.size()));
  QUIPU_ASSERT(out != nullptr);
  nl_addr_set_prefixlen(out.get(), prefix.length);
  return out;
}

// Empty for anything but IP.
std::optional<IpPrefix> from_nl(nl_addr* address, int family) {
  if (address == nullptr || (family != AF_INET && family != AF_INET6)) return std::nullopt;
  std::array<std::uint8_t, 16> octets{};
  const std::size_t full = family == AF_INET ? 4 : 16;
  if (nl_addr_get_len(address) != full) return std::nullopt;
  std::memcpy(octets.data(), nl_addr_get_binary_addr(address), full);
  const auto length = static_cast<int>(nl_addr_get_prefixlen(address));
  return IpPrefix{IpAddress::from_octets(ByteView(octets).first(full)), length};
}

Result<NlLink> get_link(nl_sock* socket, const std::string& name) {
  rtnl_link* link = nullptr;
  const int error = rtnl_link_get_kernel(socket, 0, name.c_str(), &link);
  if (error == -NLE_OBJ_NOTFOUND || error == -NLE_NODEV)
    return fail(Errc::not_found, "interface " + name + " does not exist");
  if (error < 0) return std::unexpected(explain("interface " + name, error));
  if (link == nullptr) return fail(Errc::io, "interface " + name + ": the kernel's answer is of something else");
  return NlLink(link);
}

Result<void> change_link(nl_sock* socket, const std::string& name, rtnl_link* wanted) {
  QUIPU_TRY_ASSIGN(const NlLink link, get_link(socket, name));
  if (const int error = rtnl_link_change(socket, link.get(), wanted, 0); error < 0)
    return std::unexpected(explain("changing the interface " + name, error));
  return {};
}

std::uint8_t type_of(Route::Kind kind) {
  switch (kind) {
    case Route::Kind::local: return RTN_THROW;
    case Route::Kind::blackhole: return RTN_BLACKHOLE;
    case Route::Kind::tunnel: return RTN_UNICAST;
  }
  QUIPU_ASSERT(false);
  return RTN_UNSPEC;
}

// With our protocol, whatever the other one's is.
NlRoute build_route(const KernelRoute& route) {
  NlRoute out(rtnl_route_alloc());
  QUIPU_ASSERT(out != nullptr);
  rtnl_route_set_family(out.get(), static_cast<std::uint8_t>(system_family(route.prefix.address.family)));
  QUIPU_ASSERT(rtnl_route_set_dst(out.get(), to_nl(route.prefix).get()) == 0);
  if (route.source) QUIPU_ASSERT(rtnl_route_set_src(out.get(), to_nl(*route.source).get()) == 0);
  rtnl_route_set_table(out.get(), route.table == Route::Table::main ? RT_TABLE_MAIN : kRouteTable);
  rtnl_route_set_protocol(out.get(), kRouteProtocol);
  rtnl_route_set_priority(out.get(), route.metric);
  QUIPU_ASSERT(rtnl_route_set_type(out.get(), static_cast<std::uint8_t>(route.type)) == 0);
  rtnl_route_set_scope(out.get(), static_cast<std::uint8_t>(route.scope));
  rtnl_route_set_tos(out.get(), static_cast<std::uint8_t>(route.tos));
  if (route.interface == 0) return out;
  rtnl_nexthop* hop = rtnl_route_nh_alloc();
  QUIPU_ASSERT(hop != nullptr);
  rtnl_route_nh_set_ifindex(hop, route.interface);
  rtnl_route_add_nexthop(out.get(), hop);  // takes it over
  return out;
}

NlRoute build_route(const Route& route, int interface) {
  const bool tunnel = route.kind == Route::Kind::tunnel;
  return build_route(KernelRoute{.prefix = route.prefix,
                                 .table = route.table,
                                 .metric = route.metric(),
                                 .type = type_of(route.kind),
                                 .interface = tunnel ? interface : 0,
                                 .scope = tunnel ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE});
}

std::optional<Route::Table> table_of(std::uint32_t number, int type) {
  if (number == kRouteTable) return Route::Table::own;
  if (number == RT_TABLE_MAIN) return Route::Table::main;
  if (number == RT_TABLE_LOCAL && type == RTN_UNICAST) return Route::Table::local;
  return std::nullopt;
}

int on_route(nl_msg* message, void* routes) {
  if (const auto route = route_of(nlmsg_hdr(message)))
    static_cast<std::vector<KernelRoute>*>(routes)->push_back(*route);
  return NL_OK;
}

NlRule build_rule(IpFamily family) {
  NlRule out(rtnl_rule_alloc());
  QUIPU_ASSERT(out != nullptr);
  rtnl_rule_set_family(out.get(), system_family(family));
  rtnl_rule_set_prio(out.get(), kRulePriority);
  rtnl_rule_set_table(out.get(), kRouteTable);
  rtnl_rule_set_action(out.get(), FR_ACT_TO_TBL);
  QUIPU_ASSERT(rtnl_rule_set_protocol(out.get(), kRouteProtocol) == 0);
  return out;
}

// Any attribute but these says for which packets the rule is, or which answers of its table count: those too that are
// newer than libnl.
void take_attribute(const nlattr* attribute, KernelRule& rule) {
  switch (nla_type(attribute)) {
    case FRA_PRIORITY: rule.priority = nla_get_u32(attribute); return;
    case FRA_TABLE: rule.table = nla_get_u32(attribute); return;
    case FRA_PROTOCOL: rule.protocol = nla_get_u8(attribute); return;
    case FRA_SUPPRESS_PREFIXLEN:
      if (nla_get_u32(attribute) == std::numeric_limits<std::uint32_t>::max()) return;  // none
      break;
    default: break;
  }
  rule.for_all_packets = false;
}

std::optional<KernelRule> read_rule(nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWRULE || !nlmsg_valid_hdr(message, sizeof(fib_rule_hdr))) return std::nullopt;
  const auto* header = static_cast<const fib_rule_hdr*>(nlmsg_data(message));
  if (header->family != AF_INET && header->family != AF_INET6) return std::nullopt;
  KernelRule rule{.family = header->family == AF_INET ? IpFamily::v4 : IpFamily::v6,
                  .table = header->table,
                  .action = header->action,
                  .for_all_packets = header->tos == 0 && (header->flags & FIB_RULE_INVERT) == 0};
  int left = nlmsg_attrlen(message, sizeof *header);
  for (const nlattr* attribute = nlmsg_attrdata(message, sizeof *header); nla_ok(attribute, left) != 0;
       attribute = nla_next(attribute, &left))
    take_attribute(attribute, rule);
  return rule;
}

int on_rule(nl_msg* message, void* rules) {
  if (const auto rule = read_rule(nlmsg_hdr(message))) static_cast<std::vector<KernelRule>*>(rules)->push_back(*rule);
  return NL_OK;
}

std::string rule_text(IpFamily family) {
  return std::string("the ") + (family == IpFamily::v4 ? "IPv4" : "IPv6") + " rule of priority " +
         std::to_string(kRulePriority);
}

template <class Attempt>
Result<void> dump_whole(std::string_view what, Attempt attempt) {
  int error = -NLE_DUMP_INTR;
  for (int count = 0; count < kDumpAttempts && error == -NLE_DUMP_INTR; ++count)
    error = attempt();
  if (error < 0) return std::unexpected(explain(what, error));
  return {};
}

// Each message goes to `take`, with `out` as its argument.
template <class Item>
Result<void> dump_messages(std::string_view what, nl_sock* socket, int type, int family, nl_recvmsg_msg_cb_t take,
                           std::vector<Item>& out) {
  const NlCallbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
  QUIPU_ASSERT(callbacks != nullptr);
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, take, &out);
  return dump_whole(what, [&] {
    out.clear();
    const int error = nl_rtgen_request(socket, type, family, NLM_F_DUMP);
    return error < 0 ? error : nl_recvmsgs(socket, callbacks.get());
  });
}

template <class Allocate>
Result<NlCache> dump(std::string_view what, Allocate allocate) {
  nl_cache* cache = nullptr;
  QUIPU_TRY(dump_whole(what, [&] { return allocate(&cache); }));
  return NlCache(cache);
}

Result<void> remove_built(nl_sock* socket, const NlRoute& route, const IpPrefix& prefix) {
  if (const int error = rtnl_route_delete(socket, route.get(), 0); error < 0)
    return std::unexpected(explain("removing the route to " + prefix.text(), error));
  return {};
}

// Of something that the interface is to have: IPv6 refuses it where it is switched off as it does without a capability,
// but by another code. A new interface has what `default` says.
Error explain_adding(const std::string& what, IpFamily family, int interface, int error) {
  if (error != -NLE_NOACCESS || family != IpFamily::v6 || interface == 0) return explain("adding " + what, error);
  const std::string setting = "sysctl net.ipv6.conf.";
  return {Errc::conflict, "adding " + what + ": IPv6 is switched off there: " + setting +
                              "default.disable_ipv6=0, and " + setting + interface_name(interface) +
                              ".disable_ipv6=0 while that exists, or take it out of the configuration"};
}

NlInterfaceAddress build_address(const IpPrefix& address, int interface) {
  NlInterfaceAddress out(rtnl_addr_alloc());
  QUIPU_ASSERT(out != nullptr);
  QUIPU_ASSERT(rtnl_addr_set_local(out.get(), to_nl(address).get()) == 0);
  rtnl_addr_set_ifindex(out.get(), interface);
  return out;
}

}  // namespace

Error explain(std::string_view what, int error) {
  const std::string text(what);
  switch (-error) {
    case NLE_PERM:
    case NLE_NOACCESS:
      return {Errc::not_permitted,
              text + " needs CAP_NET_ADMIN: start it as a service (the unit grants it) or as root"};
    case NLE_EXIST: return {Errc::conflict, text + ": exists already"};
    case NLE_OBJ_NOTFOUND:
    case NLE_NODEV: return {Errc::not_found, text + ": does not exist"};
    default: return {Errc::io, text + ": " + nl_geterror(error)};
  }
}

Result<int> interface_index(nl_sock* socket, const std::string& name) {
  QUIPU_TRY_ASSIGN(const NlLink link, get_link(socket, name));
  return rtnl_link_get_ifindex(link.get());
}

Result<bool> is_up(nl_sock* socket, const std::string& name) {
  QUIPU_TRY_ASSIGN(const NlLink link, get_link(socket, name));
  return (rtnl_link_get_flags(link.get()) & IFF_UP) != 0;
}

std::string interface_name(int index) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(static_cast<unsigned>(index), name.data()) != nullptr ? name.data() : "another interface";
}

Result<void> bring_up(nl_sock* socket, const std::string& name, int mtu) {
  const NlLink wanted(rtnl_link_alloc());
  rtnl_link_set_mtu(wanted.get(), static_cast<unsigned>(mtu));
  rtnl_link_set_flags(wanted.get(), IFF_UP);
  return change_link(socket, name, wanted.get());
}

Result<void> bring_down(nl_sock* socket, const std::string& name) {
  const NlLink wanted(rtnl_link_alloc());
  rtnl_link_unset_flags(wanted.get(), IFF_UP);
  return change_link(socket, name, wanted.get());
}

Result<std::vector<KernelRoute>> list_routes(nl_sock* socket) {
  std::vector<KernelRoute> out;
  for (const int family : {AF_INET, AF_INET6}) {
    std::vector<KernelRoute> of_family;
    QUIPU_TRY(dump_messages("reading the routes", socket, RTM_GETROUTE, family, on_route, of_family));
    out.insert(out.end(), of_family.begin(), of_family.end());
  }
  return out;
}

// Only what counts here is looked at: libnl refuses a whole list for one route of a kind that it does not know.
std::optional<KernelRoute> route_of(nlmsghdr* message) {
  std::array<nlattr*, RTA_MAX + 1> found{};
  if (nlmsg_parse(message, sizeof(rtmsg), found.data(), RTA_MAX, nullptr) < 0) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
  const bool is_ip = header->rtm_family == AF_INET || header->rtm_family == AF_INET6;
  if (!is_ip || (header->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  const auto number = [&](int type, std::uint32_t otherwise) {
    const nlattr* attribute = found[static_cast<std::size_t>(type)];
    return attribute != nullptr ? nla_get_u32(attribute) : otherwise;
  };
  const auto table = table_of(number(RTA_TABLE, header->rtm_table), header->rtm_type);
  if (!table) return std::nullopt;
  const auto prefix = [&](int type, int length) {
    const std::size_t size = header->rtm_family == AF_INET ? 4 : 16;
    std::array<std::uint8_t, 16> octets{};  // a default route has none
    if (const nlattr* attribute = found[static_cast<std::size_t>(type)]; attribute != nullptr)
      nla_memcpy(octets.data(), attribute, static_cast<int>(size));
    return IpPrefix{IpAddress::from_octets(ByteView(octets).first(size)), length};
  };
  const bool plain = found[RTA_MULTIPATH] == nullptr && found[RTA_NH_ID] == nullptr && found[RTA_ENCAP] == nullptr;
  std::optional<IpPrefix> source;
  if (header->rtm_src_len != 0) source = prefix(RTA_SRC, header->rtm_src_len);
  return KernelRoute{.prefix = prefix(RTA_DST, header->rtm_dst_len),
                     .table = *table,
                     .metric = number(RTA_PRIORITY, 0),
                     .type = header->rtm_type,
                     .protocol = header->rtm_protocol,
                     .interface = plain ? static_cast<int>(number(RTA_OIF, 0)) : 0,
                     .scope = header->rtm_scope,
                     .tos = header->rtm_tos,
                     .source = source};
}

Result<std::vector<KernelAddress>> list_addresses(nl_sock* socket) {
  QUIPU_TRY_ASSIGN(const NlCache cache, dump("reading the addresses",
                                             [&](nl_cache** result) { return rtnl_addr_alloc_cache(socket, result); }));
  std::vector<KernelAddress> out;
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
    auto* address = reinterpret_cast<rtnl_addr*>(object);
    if (const auto prefix = from_nl(rtnl_addr_get_local(address), rtnl_addr_get_family(address)))
      out.push_back({*prefix, rtnl_addr_get_ifindex(address)});
  }
  return out;
}

Result<void> add_route(nl_sock* socket, const Route& route, int interface) {
  const NlRoute built = build_route(route, interface);
  const int error = rtnl_route_add(socket, built.get(), NLM_F_EXCL);
  if (error >= 0) return {};
  return std::unexpected(
      explain_adding("the route to " + route.prefix.text(), route.prefix.address.family, interface, error));
}

Result<void> replace_route(nl_sock* socket, const Route& guard) {
  const NlRoute built = build_route(guard, 0);
  if (const int error = rtnl_route_add(socket, built.get(), NLM_F_REPLACE); error < 0)
    return std::unexpected(explain("replacing the route to " + guard.prefix.text(), error));
  return {};
}

Result<void> remove_route(nl_sock* socket, const Route& route, int interface) {
  auto removed = remove_built(socket, build_route(route, interface), route.prefix);
  return !removed && removed.error().code == Errc::not_found ? Result<void>() : removed;
}

Result<void> remove_route(nl_sock* socket, const KernelRoute& route) {
  return remove_built(socket, build_route(route), route.prefix);
}

Result<std::vector<KernelRule>> list_rules(nl_sock* socket) {
  std::vector<KernelRule> out;
  QUIPU_TRY(dump_messages("reading the rules", socket, RTM_GETRULE, AF_UNSPEC, on_rule, out));
  return out;
}

// Without NLM_F_EXCL: the kernel does not compare all selectors, and would refuse it beside a rule that has some.
Result<void> add_rule(nl_sock* socket, IpFamily family) {
  const NlRule built = build_rule(family);
  if (const int error = rtnl_rule_add(socket, built.get(), 0); error < 0)
    return std::unexpected(explain("adding " + rule_text(family), error));
  return {};
}

Result<void> remove_rules(nl_sock* socket, IpFamily family) {
  const NlRule built = build_rule(family);
  int error = 0;
  while (error >= 0)
    error = rtnl_rule_delete(socket, built.get(), 0);
  if (error == -NLE_OBJ_NOTFOUND) return {};
  return std::unexpected(explain("removing " + rule_text(family), error));
}

Result<void> add_address(nl_sock* socket, const IpPrefix& address, int interface) {
  const NlInterfaceAddress built = build_address(address, interface);
  const int error = rtnl_addr_add(socket, built.get(), NLM_F_EXCL);
  if (error >= 0) return {};
  return std::unexpected(explain_adding("the address " + address.text(), address.address.family, interface, error));
}

Result<void> remove_address(nl_sock* socket, const IpPrefix& address, int interface) {
  const NlInterfaceAddress built = build_address(address, interface);
  const int error = rtnl_addr_delete(socket, built.get(), 0);
  if (error >= 0 || error == -NLE_OBJ_NOTFOUND || error == -NLE_NOADDR) return {};
  return std::unexpected(explain("removing the address " + address.text(), error));
}

}  // namespace quipu::netlink
