// SPDX-License-Identifier: Apache-2.0
// Plans applied to a real kernel, each test in a network namespace of its own:
//
//   quipu0 (TUN, the tunnel) ---- protected prefixes
//   up0    (TUN, the uplink) ---- default route; what leaves in clear can be read from its descriptor
#include "netlink/route_socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "base/unique_fd.h"

namespace quipu::netlink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

void in_namespace(const std::function<void()>& body) {
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "these tests need root";
    ASSERT_EQ(std::system("ip link set lo up"), 0);
    body();
  }).join();
}

UniqueFd open_tun(const std::string& name) {
  UniqueFd device(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  EXPECT_EQ(::ioctl(device.get(), TUNSETIFF, &request), 0);
  return device;
}

void run(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 256> chunk{};
  while (std::fgets(chunk.data(), chunk.size(), pipe) != nullptr)
    out += chunk.data();
  ::pclose(pipe);
  return out;
}

constexpr std::string_view kCanary = "in clear";

// Sends one datagram to the discard port; false when the kernel refuses, as it does for a blackhole.
bool send_canary(const std::string& to) {
  const Endpoint endpoint = {IpAddress::parse(to).value(), 9};
  if (endpoint.address.family == IpFamily::v4) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.address.octets.data(), 4);
    return ::sendto(socket.get(), kCanary.data(), kCanary.size(), 0, reinterpret_cast<sockaddr*>(&address),
                    sizeof address) > 0;
  }
  const UniqueFd socket(::socket(AF_INET6, SOCK_DGRAM, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.octets.data(), 16);
  return ::sendto(socket.get(), kCanary.data(), kCanary.size(), 0, reinterpret_cast<sockaddr*>(&address),
                  sizeof address) > 0;
}

// How many canaries wait on a TUN. A send puts the packet into the device's queue before it returns.
int canaries(const UniqueFd& device) {
  int count = 0;
  std::array<char, 2048> packet{};
  for (;;) {
    const ssize_t size = ::read(device.get(), packet.data(), packet.size());
    if (size < 0) return count;
    if (std::string_view(packet.data(), static_cast<std::size_t>(size)).ends_with(kCanary)) ++count;
  }
}

UniqueFd open_uplink() {
  UniqueFd uplink = open_tun("up0");
  run("ip addr add 198.51.100.1/24 dev up0 && ip -6 addr add 2001:db8:ffff::1/64 dev up0 nodad && ip link set up0 up");
  run("ip route add default dev up0 metric 100 && ip -6 route add default dev up0 metric 100");
  return uplink;
}

LinkPlan plan_of(const std::vector<std::string>& allowed_ips,
                 const std::vector<std::string>& addresses = {"10.70.0.1/24", "2001:db8:70::1/64"}, int mtu = 1420,
                 const std::vector<std::string>& local_networks = {}) {
  LinkConfig config{"quipu0", mtu, {}, {}, {}, {}};
  for (const std::string& text : addresses)
    config.addresses.push_back(IpPrefix::parse(text).value());
  for (const std::string& text : allowed_ips)
    config.allowed_ips.push_back(IpPrefix::parse(text).value());
  for (const std::string& text : local_networks)
    config.local_networks.push_back(IpPrefix::parse(text).value());
  return plan_link(config).value();
}

LinkPlan plan_with_local(const std::vector<std::string>& allowed_ips, const std::vector<std::string>& local_networks) {
  return plan_of(allowed_ips, {"10.70.0.1/24"}, 1420, local_networks);
}

std::string all_that_is_ours() {
  return output_of(
      "ip rule show pref 81; ip -6 rule show pref 81; ip route show table all proto 81; "
      "ip -6 route show table all proto 81");
}

RouteSocket open_socket() {
  auto socket = RouteSocket::open();
  EXPECT_TRUE(socket);
  return std::move(*socket);
}

#define EXPECT_OK(expression)                                 \
  do {                                                        \
    const auto quipu_r = (expression);                        \
    EXPECT_TRUE(quipu_r.has_value()) << quipu_r.error().text; \
  } while (false)

TEST(RouteSocket, AppliesAPlanAsIpShowsIt) {
  in_namespace([] {
    const LinkPlan plan = plan_of({"10.2.0.0/16", "2001:db8:2::/48"}, {"10.70.0.1/24", "2001:db8:70::1/64"}, 1400);
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    EXPECT_THAT(output_of("ip link show quipu0"), HasSubstr("mtu 1400"));
    EXPECT_THAT(output_of("ip link show quipu0"), HasSubstr(",UP"));
    EXPECT_THAT(output_of("ip addr show quipu0"), HasSubstr("inet 10.70.0.1/24"));
    EXPECT_THAT(output_of("ip addr show quipu0"), HasSubstr("inet6 2001:db8:70::1/64"));
    EXPECT_THAT(output_of("ip rule show"), HasSubstr("81:\tfrom all lookup 81 proto 81"));
    EXPECT_THAT(output_of("ip -6 rule show"), HasSubstr("81:\tfrom all lookup 81 proto 81"));
    EXPECT_THAT(output_of("ip route show table 81"), HasSubstr("10.2.0.0/16 dev quipu0 proto 81 scope link"));
    EXPECT_THAT(output_of("ip -6 route show table 81"), HasSubstr("2001:db8:2::/48 dev quipu0 proto 81 metric 1 "));
    for (const std::string table : {"81", "main"}) {
      EXPECT_THAT(output_of("ip route show table " + table),
                  HasSubstr("blackhole 10.2.0.0/16 proto 81 metric 4294967295"));
      EXPECT_THAT(output_of("ip -6 route show table " + table),
                  HasSubstr("blackhole 2001:db8:2::/48 dev lo proto 81 metric 4294967295"));
    }
    EXPECT_THAT(output_of("ip route show; ip -6 route show"), Not(HasSubstr("dev quipu0 proto 81")));
  });
}

TEST(RouteSocket, GuardsWithoutALoopbackInterfaceThatIsUp) {
  in_namespace([] {
    run("ip link set lo down");
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan_of({"10.2.0.0/16", "2001:db8:2::/48"})));
    EXPECT_EQ(socket.guards()->size(), 2U);
  });
}

TEST(RouteSocket, ApplyingTwiceChangesNothing) {
  in_namespace([] {
    const LinkPlan plan = plan_of({"10.2.0.0/16", "10.70.0.0/24", "2001:db8:2::/48", "2001:db8:70::/64"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    // Without the flag that the kernel clears by itself once it has looked for duplicates of an address.
    const std::string state =
        "ip addr show | sed 's/ tentative//'; ip rule show; ip -6 rule show; ip route show table all; "
        "ip -6 route show table all";
    const std::string before = output_of(state);
    EXPECT_OK(socket.guard(plan));
    EXPECT_OK(socket.apply(plan));
    EXPECT_EQ(output_of(state), before);
  });
}

// First without the guards, to show that this test would see a leak.
TEST(RouteSocket, NothingProtectedTakesTheDefaultRouteWhenTheTunnelIsGone) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const LinkPlan plan = plan_of({"10.2.0.0/16", "2001:db8:2::/48"});
    RouteSocket socket = open_socket();
    for (const std::string to : {"10.2.3.4", "2001:db8:2::4"}) {
      EXPECT_TRUE(send_canary(to));
      EXPECT_EQ(canaries(uplink), 1) << to << ": the uplink would show a leak";
    }
    EXPECT_OK(socket.guard(plan));
    UniqueFd tunnel = open_tun("quipu0");
    const auto expect_nothing_leaks = [&](const char* when) {
      for (const std::string to : {"10.2.3.4", "2001:db8:2::4"})
        send_canary(to);
      EXPECT_EQ(canaries(uplink), 0) << when;
    };
    expect_nothing_leaks("before the link is up");
    EXPECT_OK(socket.apply(plan));
    expect_nothing_leaks("while the link is up");
    EXPECT_EQ(canaries(tunnel), 2);
    EXPECT_OK(socket.remove(plan));
    expect_nothing_leaks("after a stop");
    EXPECT_OK(socket.apply(plan));
    tunnel.reset();  // what the kernel does when the process is killed
    expect_nothing_leaks("after a crash");
    EXPECT_TRUE(send_canary("203.0.113.1"));
    EXPECT_EQ(canaries(uplink), 1) << "other traffic is not touched";
  });
}

TEST(RouteSocket, AProtectedDefaultRouteIsGuardedToo) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const LinkPlan plan = plan_of({"0.0.0.0/0", "::/0"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    for (const std::string to : {"10.2.3.4", "203.0.113.1", "2001:db8:2::4", "fd00::1"})
      EXPECT_FALSE(send_canary(to)) << to;
    EXPECT_EQ(canaries(uplink), 0);
  });
}

TEST(RouteSocket, GuardsStayUntilTheyAreRemovedByName) {
  in_namespace([] {
    const LinkPlan plan = plan_of({"10.2.0.0/16", "10.3.0.0/16", "2001:db8:2::/48"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    {
      const UniqueFd tunnel = open_tun("quipu0");
      EXPECT_OK(socket.apply(plan));
      EXPECT_OK(socket.remove(plan));
      EXPECT_THAT(output_of("ip route show table 81 dev quipu0"), IsEmpty());
      EXPECT_THAT(output_of("ip addr show quipu0"), Not(HasSubstr("10.70.0.1")));
    }
    EXPECT_OK(socket.remove(plan));  // the interface has gone: no error
    EXPECT_EQ(socket.guards().value(), plan.prefixes);
    const std::vector<IpPrefix> one = {IpPrefix::parse("10.3.0.0/16").value(), IpPrefix::parse("10.9.0.0/16").value()};
    EXPECT_OK(socket.remove_guards(one));
    EXPECT_THAT(socket.guards().value(), ElementsAre(plan.prefixes[0], plan.prefixes[2]));
    EXPECT_THAT(output_of("ip rule show"), HasSubstr("proto 81"));
    EXPECT_OK(socket.remove_guards(plan.prefixes));
    EXPECT_THAT(socket.guards().value(), IsEmpty());
    EXPECT_THAT(all_that_is_ours(), IsEmpty());
  });
}

TEST(RouteSocket, GuardsOfATunnelThatIsUpAreNotRemoved) {
  in_namespace([] {
    const LinkPlan plan = plan_of({"10.2.0.0/16", "10.3.0.0/16"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    const auto refused = socket.remove_guards(plan.prefixes);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().text, HasSubstr("10.2.0.0/16"));
    EXPECT_EQ(socket.guards().value(), plan.prefixes);
  });
}

TEST(RouteSocket, APrefixThatCannotBeGuardedDoesNotKeepTheOthersFromIt) {
  in_namespace([] {
    const UniqueFd uplink = open_tun("up0");
    run("ip link set up0 up && ip route add 10.2.0.0/16 dev up0 metric 4294967295");
    RouteSocket socket = open_socket();
    const LinkPlan plan = plan_of({"10.2.0.0/16", "10.3.0.0/16"});
    const auto refused = socket.guard(plan);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_EQ(socket.guards().value(), plan.prefixes);
    EXPECT_FALSE(send_canary("10.2.3.4"));
    EXPECT_FALSE(send_canary("10.3.3.4"));
  });
}

TEST(RouteSocket, LeavesSomebodyElsesBlackholeAlone) {
  in_namespace([] {
    run("ip route add blackhole 10.2.0.0/16 proto static metric 4294967295");
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    EXPECT_OK(socket.remove_guards(plan.prefixes));
    EXPECT_THAT(socket.guards().value(), IsEmpty());
    EXPECT_EQ(output_of("ip route show"), "blackhole 10.2.0.0/16 proto static metric 4294967295 \n");
  });
}

TEST(RouteSocket, ReloadTouchesOnlyDifferences) {
  in_namespace([] {
    const LinkPlan before = plan_of({"10.1.0.0/16", "10.2.0.0/16", "2001:db8:1::/48"});
    const LinkPlan after = plan_of({"10.2.0.0/16", "10.3.0.0/16"}, {"10.70.0.9/24", "2001:db8:70::1/64"}, 1380);
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(before));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(before));
    EXPECT_OK(socket.apply(before, after));
    EXPECT_EQ(socket.guards().value(), after.prefixes);
    const std::string routes = output_of("ip route show table 81; ip -6 route show table 81");
    EXPECT_THAT(routes, HasSubstr("10.2.0.0/16 dev quipu0 proto 81"));
    EXPECT_THAT(routes, HasSubstr("10.3.0.0/16 dev quipu0 proto 81"));
    EXPECT_THAT(routes, Not(HasSubstr("10.1.0.0/16")));
    EXPECT_THAT(routes, Not(HasSubstr("2001:db8:1::/48")));
    const std::string link = output_of("ip addr show quipu0");
    EXPECT_THAT(link, HasSubstr("10.70.0.9/24"));
    EXPECT_THAT(link, Not(HasSubstr("10.70.0.1/24")));
    EXPECT_THAT(link, HasSubstr("mtu 1380"));
    EXPECT_THAT(output_of("ip rule show"), HasSubstr("proto 81"));
    EXPECT_THAT(output_of("ip -6 rule show"), Not(HasSubstr("proto 81"))) << "no IPv6 prefix is left";
  });
}

// First without the rule, to show that this test would see a leak.
TEST(RouteSocket, NoRouteInMainTakesPacketsAway) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const LinkPlan plan = plan_of({"10.2.0.0/16", "2001:db8:2::/48"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    run("ip route add 10.2.3.4/32 dev up0 && ip -6 route add 2001:db8:2::4/128 dev up0 metric 1");
    run("ip route add 10.2.0.0/16 dev up0 && ip -6 route add 2001:db8:2::/48 dev up0 metric 1");
    const std::vector<std::string> targets = {"10.2.3.4", "10.2.3.5", "2001:db8:2::4", "2001:db8:2::5"};
    run("ip rule del pref 81 && ip -6 rule del pref 81");
    for (const std::string& to : targets) {
      EXPECT_TRUE(send_canary(to)) << to;
      EXPECT_EQ(canaries(uplink), 1) << to << ": the uplink would show a leak";
    }
    EXPECT_OK(socket.guard(plan));
    for (const std::string& to : targets)
      EXPECT_FALSE(send_canary(to)) << to;
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    for (const std::string& to : targets)
      EXPECT_TRUE(send_canary(to)) << to;
    EXPECT_EQ(canaries(tunnel), 4);
    EXPECT_EQ(canaries(uplink), 0);
    EXPECT_THAT(socket.inspect(plan)->bypasses, IsEmpty());
  });
}

TEST(RouteSocket, LocalNetworksAreRoutedByMain) {
  in_namespace([] {
    const UniqueFd lan = open_tun("lan0");
    run("ip addr add 10.1.0.1/24 dev lan0 && ip -6 addr add 2001:db8:2:1::1/64 dev lan0 nodad && ip link set lan0 up");
    const LinkPlan without = plan_of({"10.0.0.0/8", "2001:db8:2::/48"}, {"172.16.0.1/24"});
    const LinkPlan plan =
        plan_of({"10.0.0.0/8", "2001:db8:2::/48"}, {"172.16.0.1/24"}, 1420, {"10.1.0.0/24", "2001:db8:2:1::/64"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(without));
    for (const std::string to : {"10.1.0.9", "2001:db8:2:1::9"})
      EXPECT_FALSE(send_canary(to)) << to;
    EXPECT_OK(socket.guard(plan));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    const auto found = socket.inspect(plan);
    EXPECT_THAT(found->connected, IsEmpty());
    EXPECT_THAT(found->missing_guards, IsEmpty());
    for (const std::string to : {"10.1.0.9", "2001:db8:2:1::9", "10.1.1.9", "2001:db8:2:2::9"})
      EXPECT_TRUE(send_canary(to)) << to;
    EXPECT_EQ(canaries(lan), 2);
    EXPECT_EQ(canaries(tunnel), 2);
    // No longer local, and local again: by a reload, and by a start over what an older configuration left.
    for (const auto& step : {std::function([&] { EXPECT_OK(socket.apply(plan, without)); }),
                             std::function([&] { EXPECT_OK(socket.guard(without)); })}) {
      step();
      EXPECT_THAT(output_of("ip route show table 81; ip -6 route show table 81"), Not(HasSubstr("throw")));
      EXPECT_TRUE(send_canary("10.1.0.9"));
      EXPECT_EQ(canaries(lan), 0);
      EXPECT_EQ(canaries(tunnel), 1);
      EXPECT_OK(socket.apply(without, plan));
      EXPECT_TRUE(send_canary("10.1.0.9"));
      EXPECT_EQ(canaries(lan), 1);
    }
    // A protected prefix becomes a local network, and the other way round.
    const LinkPlan inside = plan_of({"10.0.0.0/8", "10.1.0.0/24"}, {"172.16.0.1/24"});
    EXPECT_OK(socket.apply(plan, inside));
    EXPECT_OK(socket.apply(inside, plan));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_THAT(output_of("ip route show table 81 10.1.0.0/24"), "throw 10.1.0.0/24 proto 81 metric 2 \n");
    EXPECT_OK(socket.remove(plan));
    EXPECT_OK(socket.remove_guards(plan.prefixes));
    EXPECT_THAT(all_that_is_ours(), IsEmpty());
  });
}

TEST(RouteSocket, FindsWhatIsMissingOfAPlan) {
  in_namespace([] {
    const LinkPlan plan = plan_with_local({"10.2.0.0/16", "2001:db8:2::/48"}, {"10.2.9.0/24"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_FALSE(socket.inspect(plan)->link_up);
    EXPECT_THAT(socket.inspect(plan)->missing_tunnels, IsEmpty()) << "of an interface that is down";
    EXPECT_OK(socket.apply(plan));
    run("ip rule del pref 81 && ip route flush table 81 && ip -6 route del blackhole 2001:db8:2::/48 metric "
        "4294967295");
    run("ip addr flush dev quipu0");
    const auto found = socket.inspect(plan);
    EXPECT_THAT(found->missing_guards, ElementsAre("IPv4 rule of priority 81", "throw 10.2.9.0/24",
                                                   "blackhole 10.2.0.0/16", "blackhole 2001:db8:2::/48 in main"));
    EXPECT_THAT(found->missing_tunnels, ElementsAre("route 10.2.0.0/16", "address 10.70.0.1/24"));
    EXPECT_OK(socket.guard(plan));
    EXPECT_OK(socket.apply(plan));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_THAT(socket.inspect(plan)->missing_tunnels, IsEmpty());
  });
}

TEST(RouteSocket, FindsWhatIsAskedBeforeTheTunnel) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const UniqueFd tunnel = open_tun("quipu0");
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    run("ip rule add pref 82 lookup 100 && ip rule add pref 9 blackhole to 10.9.0.0/16 && ip -6 rule add pref 9 lookup "
        "7");
    EXPECT_THAT(socket.inspect(plan)->bypasses, IsEmpty());
    run("ip rule add pref 80 fwmark 7 lookup 100 && ip rule add pref 9 goto 32766");
    run("ip route add 10.2.3.0/24 dev up0 table 81 && ip route add throw 10.2.4.0/24 table 81");
    EXPECT_THAT(socket.inspect(plan)->bypasses,
                ElementsAre("IPv4 rule of priority 9 (goto)", "IPv4 rule of priority 80 (table 100)",
                            "route to 10.2.3.0/24 in table 81", "route to 10.2.4.0/24 in table 81"));
  });
}

TEST(RouteSocket, FindsConnectedNetworksThatAreProtected) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const UniqueFd tunnel = open_tun("quipu0");
    run("ip addr add 10.2.3.1/24 dev up0 && ip addr add 10.9.0.1/16 dev up0 && ip -6 addr add fd02::1/64 dev up0");
    run("ip route add 10.2.4.0/24 dev up0");
    RouteSocket socket = open_socket();
    const auto found = socket.inspect(plan_of({"10.2.0.0/16", "10.9.3.0/24", "::/0"}));
    const auto connected = [](const char* prefix) { return ConnectedNetwork{IpPrefix::parse(prefix).value(), "up0"}; };
    EXPECT_THAT(found->connected, testing::UnorderedElementsAre(connected("10.2.3.0/24"), connected("fd02::/64"),
                                                                connected("2001:db8:ffff::/64")));
    EXPECT_THAT(socket.inspect(plan_with_local({"10.2.0.0/16"}, {"10.2.3.0/24"}))->connected, IsEmpty());
    EXPECT_THAT(socket.inspect(plan_with_local({"10.2.0.0/16"}, {"10.2.3.0/25"}))->connected,
                ElementsAre(connected("10.2.3.0/24")));
  });
}

TEST(RouteSocket, SaysThatAnAddressIsInUse) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const UniqueFd tunnel = open_tun("quipu0");
    RouteSocket socket = open_socket();
    const auto result = socket.apply(plan_of({}, {"198.51.100.1/32"}));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::conflict);
    EXPECT_THAT(result.error().text, HasSubstr("198.51.100.1 is in use on the interface up0"));
  });
}

TEST(RouteSocket, SaysThatTheInterfaceDoesNotExist) {
  in_namespace([] {
    RouteSocket socket = open_socket();
    const auto result = socket.apply(plan_of({}));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::not_found);
    EXPECT_THAT(result.error().text, HasSubstr("quipu0 does not exist"));
  });
}

TEST(RouteSocket, SaysWhichCapabilityIsMissing) {
  in_namespace([] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    ASSERT_EQ(::syscall(SYS_capset, &header, none), 0);
    RouteSocket socket = open_socket();
    const auto result = socket.guard(plan_of({"10.2.0.0/16"}));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::not_permitted);
    EXPECT_THAT(result.error().text, HasSubstr("CAP_NET_ADMIN"));
  });
}

}  // namespace
}  // namespace quipu::netlink
