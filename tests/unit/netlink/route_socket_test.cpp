// SPDX-License-Identifier: Apache-2.0
// Plans applied to a real kernel.
#include "netlink/route_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_test.h"

namespace quipu::netlink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

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
    // Without the flag that the kernel clears, and the routes that it adds, once it has looked for duplicates of an
    // address.
    const std::string state =
        "ip addr show | sed 's/ tentative//'; ip rule show; ip -6 rule show; ip route show table all; "
        "ip -6 route show table all | grep -v 'proto kernel'";
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

// An address and a route: each by itself, and the one does not hide the other.
TEST(RouteSocket, SaysThatIPv6IsSwitchedOffAndHowItIsSwitchedOn) {
  in_namespace([] {
    run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    RouteSocket socket = open_socket();
    const LinkPlan both = plan_of({"2001:db8:2::/48"});
    EXPECT_OK(socket.guard(both));
    UniqueFd tunnel = open_tun("quipu0");
    for (const LinkPlan& plan : {plan_of({}), plan_of({"2001:db8:2::/48"}, {"10.70.0.1/24"}), both}) {
      const auto result = socket.apply(plan);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, Errc::conflict);
      EXPECT_THAT(result.error().text,
                  HasSubstr(": IPv6 is switched off there: sysctl net.ipv6.conf.default.disable_ipv6=0, and sysctl "
                            "net.ipv6.conf.quipu0.disable_ipv6=0 while that exists"));
    }
    EXPECT_THAT(output_of("ip addr show quipu0"), HasSubstr("10.70.0.1")) << "IPv4 has its own";
    run("echo 0 > /proc/sys/net/ipv6/conf/quipu0/disable_ipv6");
    EXPECT_OK(socket.apply(both));
    tunnel.reset();
    run("echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(both));
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

// An answer that nobody has read, as a failed request leaves it, would be taken for one to the next request.
TEST(RouteSocket, NothingThatWaitsInTheSocketIsTakenForAnAnswer) {
  in_namespace([] {
    const UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int number = probe.get() + 1;  // what the next descriptor to be opened gets
    RouteSocket socket = open_socket();
    struct {
      nlmsghdr header;
      rtgenmsg family;
    } request{};
    request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.family);
    request.header.nlmsg_type = RTM_GETRULE;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    ASSERT_GT(::send(number, &request, request.header.nlmsg_len, 0), 0) << "it is not the socket";
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    EXPECT_OK(socket.guard(plan));
    EXPECT_EQ(socket.guards().value(), plan.prefixes);
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
