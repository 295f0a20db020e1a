// SPDX-License-Identifier: Apache-2.0
// What others, or an older configuration, left where the guards are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "kernel_test.h"
#include "netlink/route_monitor.h"
#include "netlink/route_socket.h"

namespace quipu::netlink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

TEST(GuardOfOthers, ARuleThatLeavesPacketsOutIsNotTheRule) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const UniqueFd tunnel = open_tun("quipu0");
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    RouteSocket socket = open_socket();
    for (const std::string selector :
         {"from 192.0.2.0/24", "to 192.0.2.0/24", "iif lo", "oif lo", "fwmark 7", "not", "tos 8", "ipproto 6",
          "sport 7", "dport 7", "uidrange 7-7", "suppress_prefixlength 16", "suppress_ifgroup 0"}) {
      SCOPED_TRACE(selector);
      run("ip rule add " + selector + " pref 81 table 81 protocol 81");
      EXPECT_OK(socket.guard(plan));
      EXPECT_FALSE(send_canary("10.2.3.4"));
      EXPECT_THAT(output_of("ip rule show pref 81"), HasSubstr("81:\tfrom all lookup 81 proto 81"));
      EXPECT_THAT(socket.inspect(plan)->bypasses, IsEmpty()) << "it has no other table asked";
      run("ip rule del pref 81 table 81 protocol 81 && ip rule del pref 81 table 81 protocol 81");
      run("ip rule add " + selector + " pref 81 table 81 protocol 81");
      EXPECT_THAT(socket.inspect(plan)->missing_guards, ElementsAre("IPv4 rule of priority 81"));
      run("ip rule del pref 81");
    }
    EXPECT_EQ(canaries(uplink), 0);
  });
}

TEST(GuardOfOthers, AnEqualRuleOfSomebodyElseIsAsGoodAndStays) {
  in_namespace([] {
    run("ip rule add pref 81 table 81 protocol static");
    const UniqueFd tunnel = open_tun("quipu0");
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    const auto rules = [] { return output_of("ip rule show pref 81 | sed 's/ *$//'"); };
    EXPECT_EQ(rules(), "81:\tfrom all lookup 81 proto static\n");
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_THAT(socket.inspect(plan)->bypasses, IsEmpty());
    run("ip rule add from 192.0.2.0/24 pref 81 table 81 protocol static");
    EXPECT_OK(socket.remove_guards(plan.prefixes));
    EXPECT_EQ(rules(), "81:\tfrom all lookup 81 proto static\n81:\tfrom 192.0.2.0/24 lookup 81 proto static\n");
  });
}

TEST(GuardOfOthers, AThrowOfAnOlderConfigurationIsFoundAndRemoved) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const UniqueFd tunnel = open_tun("quipu0");
    const LinkPlan plan = plan_with_local({"10.2.0.0/16"}, {"10.2.9.0/24"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    run("ip route add 10.2.4.0/24 dev up0");
    for (const std::string metric : {"2", "7"}) {
      run("ip route add throw 10.2.4.0/24 table 81 proto 81 metric " + metric);
      EXPECT_TRUE(send_canary("10.2.4.1"));
      EXPECT_EQ(canaries(uplink), 1) << "this test would not notice a leak";
      const auto found = socket.inspect(plan);
      EXPECT_THAT(found->missing_guards, ElementsAre("removal of the throw 10.2.4.0/24"));
      EXPECT_THAT(found->bypasses, IsEmpty());
      EXPECT_OK(socket.guard(plan));
      EXPECT_FALSE(send_canary("10.2.4.1"));
      EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    }
    EXPECT_THAT(output_of("ip route show table 81"), HasSubstr("throw 10.2.9.0/24"));
  });
}

// Also where ours is not to be had beside it: one that replaced it, one of the same metric.
TEST(GuardOfOthers, ARouteOfOurProtocolThatLeadsElsewhereIsFoundAndRemoved) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16", "2001:db8:2::/48"}));
    run("ip nexthop add id 81 dev up0");
    for (const std::string route :
         {"add 10.2.3.0/24 table 81 proto 81 dev up0", "add 10.2.3.0/24 table 81 proto 81 via 198.51.100.9 metric 7",
          "add 10.2.3.0/24 table 81 proto 81 nexthop dev up0 nexthop dev up0",
          "add 10.2.3.0/24 table 81 proto 81 nhid 81", "replace 10.2.0.0/16 table 81 proto 81 dev up0",
          "add 2001:db8:2::/64 table 81 proto 81 dev up0 metric 5",
          "add 2001:db8:2::/64 table 81 proto 81 nexthop via 2001:db8:ffff::8 nexthop via 2001:db8:ffff::9",
          "replace 2001:db8:2::/48 table 81 proto 81 dev up0 metric 1"}) {
      SCOPED_TRACE(route);
      const std::string to = route.find(':') == std::string::npos ? "10.2.3.4" : "2001:db8:2::4";
      run("ip route " + route);
      EXPECT_TRUE(send_canary(to));
      EXPECT_EQ(canaries(uplink), 1) << "this test would not notice a leak";
      EXPECT_THAT(socket.inspect(plan)->missing_guards, ElementsAre(HasSubstr("removal of the route ")));
      EXPECT_OK(socket.guard(plan));
      EXPECT_OK(socket.apply(plan));
      EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
      EXPECT_THAT(socket.inspect(plan)->missing_tunnels, IsEmpty());
      EXPECT_TRUE(send_canary(to));
      EXPECT_EQ(canaries(uplink), 0);
      EXPECT_EQ(canaries(tunnel), 1);
    }
  });
}

TEST(GuardOfOthers, ARouteForSomePacketsOnlyIsNotTheGuard) {
  in_namespace([] {
    const UniqueFd tunnel = open_tun("quipu0");
    run("ip link set quipu0 up");
    run("ip route add blackhole 10.2.0.0/16 tos 8 table 81 proto 81 metric 4294967295");
    run("ip route add 10.2.0.0/16 tos 8 dev quipu0 table 81 proto 81 scope link");
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    EXPECT_THAT(output_of("ip route show table 81"), HasSubstr("blackhole 10.2.0.0/16 proto 81 metric 4294967295"));
    EXPECT_OK(socket.apply(plan));
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(tunnel), 1);
    run("ip route add throw 10.2.0.0/16 tos 4 table 81 proto 81");
    EXPECT_THAT(socket.inspect(plan)->missing_guards, ElementsAre("removal of the throw 10.2.0.0/16"));
    EXPECT_OK(socket.guard(plan));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
  });
}

// Even one that drops what it is for.
TEST(GuardOfOthers, ARouteForOneSourceHidesThatForAll) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"2001:db8:2::/48"}));
    run("ip -6 route add 2001:db8:2::/64 dev up0");
    const std::string route = " blackhole 2001:db8:2::/48 from 2001:db8:1::/48 table 81 proto ";
    run("ip -6 route add" + route + "static");
    EXPECT_TRUE(send_canary("2001:db8:2::4"));
    EXPECT_EQ(canaries(uplink), 1);
    EXPECT_THAT(socket.inspect(plan)->bypasses, ElementsAre("route to 2001:db8:2::/48 in table 81"));
    run("ip -6 route del" + route + "static && ip -6 route add" + route + "81");
    EXPECT_THAT(socket.inspect(plan)->missing_guards, ElementsAre("removal of the blackhole 2001:db8:2::/48"));
    EXPECT_OK(socket.guard(plan));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_TRUE(send_canary("2001:db8:2::4"));
    EXPECT_EQ(canaries(uplink), 0);
    EXPECT_EQ(canaries(tunnel), 1);
  });
}

// What the kernel cannot tell from ours by what it is asked to delete is told, and ours stays.
TEST(GuardOfOthers, ARouteThatIsTooMuchLikeOursDoesNotTakeItAlong) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16", "2001:db8:2::/48"}));
    run("ip route append 10.2.0.0/16 table 81 proto 81 scope link nexthop dev up0 nexthop dev up0");
    const auto hops = socket.guard(plan);
    ASSERT_FALSE(hops);
    EXPECT_EQ(hops.error().text,
              "removal of the route 10.2.0.0/16: it is like ours in all but its hops: remove it by hand, as 'ip route "
              "show table all proto 81' shows it");
    EXPECT_THAT(output_of("ip route show table 81"), HasSubstr("10.2.0.0/16 dev quipu0"));
    EXPECT_TRUE(send_canary("10.2.3.4"));
    run("ip route del 10.2.0.0/16 table 81 proto 81 nexthop dev up0 nexthop dev up0");
    EXPECT_OK(socket.guard(plan));
    EXPECT_EQ(canaries(uplink), 0);
  });
}

// Before our own interface exists, and while it does.
TEST(GuardOfOthers, ARouteForOneSourceIsRemovedAndOursIsNot) {
  in_namespace([] {
    const LinkPlan plan = plan_with_local({"2001:db8::/32"}, {"2001:db8:2::/48", "2001:db8:ffff::/64"});
    const UniqueFd uplink = open_uplink();
    RouteSocket socket = open_socket();
    const auto add_all = [] {
      for (const std::string route :
           {"blackhole 2001:db8::/32 from 2001:db8:9::/48 table 81 proto 81 metric 4294967295",
            "blackhole 2001:db8:2::/48 from 2001:db8:9::/48 table 81 proto 81 metric 4294967295",
            "2001:db8::/32 from 2001:db8:8::/48 table 81 proto 81 metric 1 dev up0",
            "2001:db8::/32 from 2001:db8:7::/48 table 81 proto 81 metric 1 nexthop via 2001:db8:ffff::8 dev up0 onlink "
            "nexthop via 2001:db8:ffff::9 dev up0 onlink"})
        run("ip -6 route add " + route);
    };
    const auto ours = [] { return output_of("ip -6 route show table 81"); };
    add_all();
    EXPECT_OK(socket.guard(plan));
    EXPECT_THAT(ours(), Not(HasSubstr(" from ")));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    const std::string whole = ours();
    add_all();
    EXPECT_OK(socket.apply(plan, plan));
    EXPECT_EQ(ours(), whole);
    EXPECT_THAT(socket.inspect(plan)->missing_tunnels, IsEmpty());
  });
}

TEST(GuardOfOthers, OnlyWhatLeadsProtectedPacketsAwayIsABypass) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_with_local({"10.2.0.0/16"}, {"10.2.9.0/24"}));
    for (const std::string route : {"10.0.0.0/8 dev up0", "10.3.0.0/16 dev up0", "10.2.9.0/25 dev up0",
                                    "10.2.4.0/24 dev quipu0", "unreachable 10.2.5.0/24"})
      run("ip route add " + route + " table 81");
    EXPECT_THAT(socket.inspect(plan)->bypasses, IsEmpty());
    run("ip route add 10.2.3.0/24 table 81 nexthop dev quipu0 nexthop dev up0");
    run("ip route add local 10.2.6.0/24 dev lo table 81 && ip route append 10.2.0.0/16 dev up0 table 81");
    EXPECT_THAT(socket.inspect(plan)->bypasses,
                UnorderedElementsAre("route to 10.2.3.0/24 in table 81", "route to 10.2.6.0/24 in table 81",
                                     "route to 10.2.0.0/16 in table 81"));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty()) << "nobody else's is removed";
  });
}

// The kernel asks it first of all. The machine's own addresses stand there, too.
TEST(GuardOfOthers, ARouteInTheLocalTableIsABypass) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] =
        in_effect(plan_with_local({"10.2.0.0/16", "2001:db8:2::/48"}, {"10.2.9.0/24"}));
    auto monitor = RouteMonitor::open("quipu0");
    ASSERT_TRUE(monitor);
    run("ip addr add 10.2.7.1/24 dev up0 && ip -6 addr add 2001:db8:2:7::1/64 dev up0 nodad");
    for (const std::string route : {"10.2.9.0/25 dev up0", "10.3.0.0/16 dev up0", "10.2.4.0/24 dev quipu0",
                                    "throw 10.2.5.0/24", "blackhole 10.2.6.0/24"})
      run("ip route add " + route + " table local");
    EXPECT_THAT(socket.inspect(plan)->bypasses, IsEmpty());
    monitor->take_changes();
    run("ip route add 10.2.3.0/24 dev up0 table local");
    EXPECT_TRUE(monitor->take_changes());
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(uplink), 1);
    run("ip route add 10.0.0.0/8 dev up0 table local && ip -6 route add 2001:db8:2:3::/64 dev up0 table local");
    EXPECT_THAT(socket.inspect(plan)->bypasses,
                UnorderedElementsAre("route to 10.2.3.0/24 in table local", "route to 10.0.0.0/8 in table local",
                                     "route to 2001:db8:2:3::/64 in table local"));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
  });
}

// Before our own interface exists.
TEST(GuardOfOthers, TheTunnelOfAnotherDaemonIsNotTakenDownByAStart) {
  in_namespace([] {
    const UniqueFd other = open_tun("quipu9");
    run("ip link set quipu9 up && ip route add 10.2.0.0/16 dev quipu9 table 81 proto 81");
    RouteSocket socket = open_socket();
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    EXPECT_OK(socket.guard(plan));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_FALSE(socket.apply(plan)) << "it is in the way";
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(other), 1);
  });
}

// Also while the rule of a daemon that was killed stands.
TEST(GuardOfOthers, AGuardTakesThePlaceOfARouteOfOurProtocolAtAStart) {
  for (const std::string& route : routes_in_place()) {
    SCOPED_TRACE(route);
    in_namespace([&] {
      const UniqueFd uplink = open_uplink();
      const UniqueFd other = open_tun("other0");
      run("ip rule add pref 81 table 81 protocol 81 && ip -6 rule add pref 81 table 81 protocol 81");
      run("ip link set other0 up && ip route add " + route);
      RouteSocket socket = open_socket();
      const RemovedRoutes removed;
      EXPECT_OK(socket.guard(plan_in_place()));
      EXPECT_THAT(removed.types(), IsEmpty()) << "there was a moment without either";
      for (const std::string to : {"10.12.3.4", "2001:db8:12::4"})
        EXPECT_FALSE(send_canary(to)) << to;
      const UniqueFd tunnel = open_tun("quipu0");
      EXPECT_OK(socket.apply(plan_in_place()));
      expect_in_effect(socket, tunnel);
      EXPECT_EQ(canaries(uplink) + canaries(other), 0);
    });
  }
}

// A configuration that was edited and is not loaded: its guards are set beside those of the daemon that runs.
TEST(GuardOfOthers, WhatATunnelCarriesKeepsItsGuardWithinAWiderPrefix) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16", "2001:db8:2::/48"}));
    const LinkPlan wider = plan_of({"10.0.0.0/8", "2001:db8::/32"});
    RouteSocket other = open_socket();
    EXPECT_OK(other.guard(wider));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_THAT(other.inspect(wider)->missing_guards, IsEmpty());
    tunnel.reset();
    EXPECT_FALSE(send_canary("10.2.3.4"));
    EXPECT_OK(other.guard(wider));
    EXPECT_EQ(other.guards().value(), wider.prefixes);
    EXPECT_EQ(canaries(uplink), 0);
  });
}

// Both at once, in two threads: what became of each.
std::array<Result<void>, 2> guard_twice(const LinkPlan& plan) {
  std::array<Result<void>, 2> outcomes;
  std::latch ready(2);
  const auto start = [&](Result<void>& outcome) {
    RouteSocket socket = open_socket();
    ready.arrive_and_wait();
    outcome = socket.guard(plan);
  };
  std::thread other(start, std::ref(outcomes[0]));
  start(outcomes[1]);
  other.join();
  return outcomes;
}

// Each of the two finds that some of what it listed has gone by the time that it comes to it.
TEST(GuardOfOthers, TwoStartsAtOnceDoNotFailAtWhatTheOtherHasRemoved) {
  in_namespace([] {
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    EXPECT_OK(open_socket().guard(plan));
    run("for n in $(seq 0 1023); do echo route add throw 10.2.$((n / 4)).$((n % 4 * 64))/26 table 81 proto 81; done | "
        "ip -batch -");
    for (const Result<void>& outcome : guard_twice(plan))
      EXPECT_OK(outcome);
    EXPECT_THAT(output_of("ip route show table 81"), Not(HasSubstr("throw")));
  });
}

TEST(GuardOfOthers, TwoStartsAtOnceDoNotFailAtWhatTheOtherHasAdded) {
  in_namespace([] {
    LinkPlan plan = plan_of({});
    for (int n = 0; n < 256; ++n)
      plan.prefixes.push_back(IpPrefix::parse("10.2." + std::to_string(n) + ".0/24").value());
    std::ranges::sort(plan.prefixes);
    for (const Result<void>& outcome : guard_twice(plan))
      EXPECT_OK(outcome);
    EXPECT_EQ(open_socket().guards().value(), plan.prefixes);
  });
}

TEST(GuardOfOthers, OfTwoStartsAtOnceEachNamesTheRouteThatIsMissing) {
  in_namespace([] {
    LinkPlan plan = plan_of({"10.3.0.0/24"});
    for (int n = 0; n < 256; ++n)
      plan.prefixes.push_back(IpPrefix::parse("10.2." + std::to_string(n) + ".0/24").value());
    std::ranges::sort(plan.prefixes);
    run("ip route add 10.3.0.0/24 dev lo table 81 metric 4294967295");
    for (const Result<void>& outcome : guard_twice(plan)) {
      ASSERT_FALSE(outcome);
      EXPECT_THAT(outcome.error().text, HasSubstr("10.3.0.0/24: exists already"));
    }
  });
}

// A blackhole by its nexthop: as the kernel lists it, it does not find it.
TEST(GuardOfOthers, WhatTheKernelDoesNotFindAndListsIsNotTakenForRemoved) {
  in_namespace([] {
    RouteSocket socket = open_socket();
    const LinkPlan plan = plan_of({"10.2.0.0/16"});
    run("ip nexthop add id 81 blackhole && ip route add 10.2.3.0/24 nhid 81 table 81 proto 81 metric 4294967295");
    const auto refused = socket.guard(plan);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text, HasSubstr("removal of the blackhole 10.2.3.0/24: removing the route to "
                                                "10.2.3.0/24: does not exist: remove it by hand"));
    const auto left = socket.remove_guards(plan_of({"10.2.3.0/24"}).prefixes);
    ASSERT_FALSE(left);
    EXPECT_THAT(left.error().text, HasSubstr("10.2.3.0/24: does not exist: remove it by hand"));
    run("ip route del 10.2.3.0/24 table 81");
    EXPECT_OK(socket.guard(plan));
  });
}

// Local networks without a route that is as specific: behind another router, with others.
TEST(GuardOfOthers, WhatBecameALocalNetworkIsNoLongerDroppedAfterARestart) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const LinkPlan older = plan_of({"10.0.0.0/8", "10.1.0.0/16", "10.1.5.0/24", "10.3.0.0/16", "2001:db8:2::/48"});
    const LinkPlan plan = plan_of({"10.0.0.0/8", "2001:db8::/32"}, {"10.70.0.1/24"}, 1420,
                                  {"10.1.0.0/16", "2001:db8:2::/48", "2001:db8:ffff::/64"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(older));
    const std::vector<std::string> targets = {"10.1.2.3", "10.1.5.9", "2001:db8:2::4"};
    run("ip route add 10.0.0.0/12 dev up0 && ip -6 route add 2001:db8:2::/47 dev up0");
    for (const std::string& to : targets)
      EXPECT_FALSE(send_canary(to)) << to;
    EXPECT_OK(socket.guard(plan));
    for (const std::string& to : targets)
      EXPECT_TRUE(send_canary(to)) << to;
    EXPECT_EQ(canaries(uplink), 3);
    EXPECT_FALSE(send_canary("10.3.2.3")) << "what nothing says to be local stays guarded";
    EXPECT_EQ(socket.guards().value(), plan.prefixes);
  });
}

TEST(GuardOfOthers, WhatIsWithinAWiderPrefixIsTunnelledAfterARestart) {
  in_namespace([] {
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan_of({"10.2.3.0/24", "172.16.0.0/16", "2001:db8:2:3::/64"})));
    const LinkPlan plan = plan_of({"10.0.0.0/8", "10.9.0.0/16", "2001:db8:2::/48"});
    const UniqueFd uplink = open_uplink();
    run("ip route add 10.2.3.0/25 dev up0 && ip -6 route add 2001:db8:2:3::/80 dev up0");
    const std::string in_the_way = "10.9.0.0/16 dev up0 metric 4294967295";
    run("ip route add " + in_the_way);
    EXPECT_FALSE(socket.guard(plan));
    EXPECT_THAT(output_of("ip route show table 81"), HasSubstr("blackhole 10.2.3.0/24")) << "not all is guarded";
    run("ip route del " + in_the_way);
    EXPECT_OK(socket.guard(plan));
    EXPECT_FALSE(send_canary("10.2.3.4"));
    EXPECT_FALSE(send_canary("172.16.0.4")) << "what lies outside is protected as it was";
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(plan));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_TRUE(send_canary("2001:db8:2:3::4"));
    EXPECT_EQ(canaries(tunnel), 2);
    run("ip route add blackhole 10.2.3.0/24 table 81 proto 81 metric 4294967295");
    EXPECT_THAT(socket.inspect(plan)->missing_guards, ElementsAre("removal of the blackhole 10.2.3.0/24"));
    EXPECT_OK(socket.guard(plan));
    EXPECT_THAT(socket.inspect(plan)->missing_guards, IsEmpty());
    EXPECT_EQ(canaries(uplink), 0);
  });
}

// What had guards of its own is not opened by a start that fails.
TEST(GuardOfOthers, WhatBecameALocalNetworkIsDroppedUntilAllElseIsGuarded) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan_of({"10.0.0.0/8", "10.1.0.0/16"})));
    const LinkPlan plan = plan_with_local({"10.0.0.0/8", "10.9.0.0/16"}, {"10.1.0.0/16"});
    const std::string in_the_way = "10.9.0.0/16 dev up0 metric 4294967295";
    run("ip route add 10.0.0.0/12 dev up0 && ip route add " + in_the_way);
    EXPECT_FALSE(socket.guard(plan));
    EXPECT_FALSE(send_canary("10.1.2.3"));
    run("ip route del " + in_the_way);
    EXPECT_OK(socket.guard(plan));
    EXPECT_TRUE(send_canary("10.1.2.3"));
    EXPECT_EQ(canaries(uplink), 1);
  });
}

// A blackhole of somebody else's in our table is as good as one of ours, so that none of ours is beside it.
TEST(GuardOfOthers, AReloadLeavesTheRuleWhileAnythingIsDroppedInOurTable) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    run("ip route add blackhole 10.2.0.0/16 table 81 proto static metric 4294967295");
    run("ip route add 10.2.3.0/24 dev up0");
    const LinkPlan before = plan_of({"10.1.0.0/16", "10.2.0.0/16"});
    const LinkPlan after = plan_of({"10.2.0.0/16"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(before));
    const UniqueFd tunnel = open_tun("quipu0");
    EXPECT_OK(socket.apply(before));
    EXPECT_OK(socket.apply(before, after));
    EXPECT_THAT(socket.inspect(after)->missing_guards, IsEmpty());
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(tunnel), 1);
    EXPECT_OK(socket.remove(after));
    EXPECT_FALSE(send_canary("10.2.3.4"));
    run("ip route del blackhole 10.2.0.0/16 table 81 metric 4294967295");
    EXPECT_OK(socket.remove_guards(before.prefixes));
    EXPECT_THAT(all_that_is_ours(), IsEmpty());
  });
}

// libnl gives up a whole list of routes at one with a lightweight tunnel, which then fails whatever is asked next.
TEST(GuardOfOthers, ARouteOfAKindThatWeDoNotKnowIsInNobodysWay) {
  in_namespace([] {
    const UniqueFd uplink = open_uplink();
    const UniqueFd tunnel = open_tun("quipu0");
    run("ip route add 10.99.1.0/24 encap ip id 42 dst 198.51.100.7 dev up0");
    run("ip -6 route add 2001:db8:99::/48 encap seg6 mode encap segs 2001:db8:98::1 dev up0");
    const LinkPlan plan = plan_of({"10.2.0.0/16", "2001:db8:2::/48"});
    RouteSocket socket = open_socket();
    EXPECT_OK(socket.guard(plan));
    EXPECT_OK(socket.apply(plan));
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_TRUE(send_canary("2001:db8:2::4"));
    EXPECT_EQ(canaries(tunnel), 2);
    run("ip rule del pref 81 && ip route add 10.2.4.0/24 encap ip id 43 dst 198.51.100.8 dev up0 table 81");
    const auto found = socket.inspect(plan);
    ASSERT_TRUE(found.has_value()) << found.error().text;
    EXPECT_THAT(found->missing_guards, ElementsAre("IPv4 rule of priority 81"));
    EXPECT_THAT(found->bypasses, ElementsAre("route to 10.2.4.0/24 in table 81"));
    run("ip route del 10.2.4.0/24 table 81");
    EXPECT_OK(socket.remove(plan));
    EXPECT_OK(socket.remove_guards(plan.prefixes));
    EXPECT_THAT(all_that_is_ours(), IsEmpty());
  });
}

}  // namespace
}  // namespace quipu::netlink
