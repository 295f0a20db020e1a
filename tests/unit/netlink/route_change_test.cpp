// SPDX-License-Identifier: Apache-2.0
// A reload, in a real kernel: what is protected at its beginning or at its end is so all the time, and what is local
// at both stays local.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include "kernel_test.h"
#include "netlink/route_socket.h"

namespace quipu::netlink {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(RouteChange, WhatStaysAsItIsIsNotTouched) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_with_local({"10.0.0.0/8", "10.2.3.0/24"}, {"10.2.0.0/16"}));
    const std::string before = all_that_is_ours();
    const RemovedRoutes removed;
    EXPECT_OK(socket.apply(plan, plan));
    EXPECT_THAT(removed.types(), ElementsAre());
    EXPECT_EQ(all_that_is_ours(), before);
    run("ip route del throw 10.2.0.0/16 table 81");
    EXPECT_THAT(removed.types(), ElementsAre(RTN_THROW)) << "this test would not notice a change";
  });
}

// Refused before anything has changed: whoever undoes a change needs the same place.
TEST(RouteChange, WhatHasThePlaceOfAGuardIsToldBeforehand) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16"}));
    const LinkPlan more = plan_of({"10.2.0.0/16", "10.12.0.0/16"});
    for (const std::string table : {"main", "81"}) {
      run("ip route add 10.12.0.0/16 dev up0 metric 4294967295 table " + table);
      const auto refused = socket.check_change(plan, more);
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().text, HasSubstr("another route has the place of the blackhole 10.12.0.0/16"));
      run("ip route del 10.12.0.0/16 table " + table);
    }
    EXPECT_OK(socket.check_change(plan, more));
  });
}

// Its throw is set only when all else has succeeded.
TEST(RouteChange, WhatHasThePlaceOfANewLocalNetworkIsToldBeforehand) {
  for (const std::string network : {"10.2.0.0/16", "2001:db8:2::/48"}) {
    SCOPED_TRACE(network);
    in_namespace([&] {
      auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.0.0.0/8", "172.16.0.0/12", "2001:db8::/33"}));
      const LinkPlan local = plan_of({"10.0.0.0/8", "2001:db8::/33"}, {"10.70.0.1/24"}, 1420, {network});
      run("ip route add " + network + " dev up0 table 81 metric 2");
      const std::string before = all_that_is_ours();
      const auto refused = socket.check_change(plan, local);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().text,
                "another route has the place of the throw " + network + " and its metric: remove that one");
      EXPECT_EQ(all_that_is_ours(), before);
      ASSERT_FALSE(socket.apply(plan, local));
      EXPECT_THAT(all_that_is_ours(), Not(HasSubstr("172.16.0.0/12 dev quipu0"))) << "no need to be told before";
      EXPECT_OK(socket.apply(local, plan));
      run("ip route del " + network + " table 81 metric 2");
      EXPECT_OK(socket.check_change(plan, local));
      EXPECT_OK(socket.apply(plan, local));
    });
  }
}

TEST(RouteChange, AGuardTakesThePlaceOfARouteOfOurProtocol) {
  std::vector<std::string> routes = routes_in_place();
  routes.emplace_back("10.12.0.0/16 proto 81 metric 4294967295 table 81 dev quipu0");
  for (const std::string& route : routes) {
    SCOPED_TRACE(route);
    in_namespace([&] {
      auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16", "2001:db8:2::/48"}));
      const UniqueFd other = open_tun("other0");
      run("ip link set other0 up && ip route add " + route);
      const RemovedRoutes removed;
      EXPECT_OK(socket.check_change(plan, plan_in_place()));
      EXPECT_OK(socket.apply(plan, plan_in_place()));
      EXPECT_THAT(removed.types(), ElementsAre()) << "there was a moment without either";
      expect_in_effect(socket, tunnel);
      EXPECT_EQ(canaries(uplink) + canaries(other), 0);
    });
  }
}

// Which of two the kernel would take is not ours to say.
TEST(RouteChange, WhatStandsBesideARouteOfOurProtocolDoesNotGiveWay) {
  for (const std::string table : {"main", "81"}) {
    in_namespace([&] {
      auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16"}));
      run("ip route append 10.12.0.0/16 dev up0 metric 4294967295 proto 81 table " + table);
      run("ip route append 10.12.0.0/16 dev up0 metric 4294967295 proto static table " + table);
      const auto routes = [&] { return output_of("ip route show exact 10.12.0.0/16 table " + table); };
      const std::string before = routes();
      const auto refused = socket.check_change(plan, plan_in_place());
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().text, HasSubstr("another route has the place of the blackhole 10.12.0.0/16"));
      EXPECT_EQ(routes(), before);
      EXPECT_FALSE(open_socket().guard(plan_in_place()));
      EXPECT_THAT(routes(), HasSubstr("proto static"));
    });
  }
}

// Gateways of one prefix and metric are hops of one route: the kernel tells the protocol of the first alone.
TEST(RouteChange, HopsThatIpv6KeepsAsOneRouteGiveWayWithTheFirst) {
  for (const std::string table : {"main", "81"}) {
    for (const bool ours_first : {true, false}) {
      SCOPED_TRACE(testing::Message() << table << (ours_first ? ", ours first" : ", ours second"));
      in_namespace([&] {
        auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16", "2001:db8:2::/48"}));
        const UniqueFd other = open_tun("other0");
        const std::string place = " 2001:db8:12::/48 metric 4294967295 table " + table + " dev other0 via ";
        run("ip link set other0 up && ip -6 route add" + place + "fe80::8 proto " + (ours_first ? "81" : "static"));
        run("ip -6 route append" + place + "fe80::9 proto " + (ours_first ? "static" : "81"));
        const auto hops = [&] { return output_of("ip -6 route show exact 2001:db8:12::/48 table " + table); };
        ASSERT_THAT(hops(), AllOf(HasSubstr("fe80::8"), HasSubstr("fe80::9")));
        if (ours_first) {
          EXPECT_OK(socket.check_change(plan, plan_in_place()));
          EXPECT_OK(socket.apply(plan, plan_in_place()));
          EXPECT_THAT(hops(), Not(HasSubstr("fe80::")));
          expect_in_effect(socket, tunnel);
        } else {
          const auto refused = socket.check_change(plan, plan_in_place());
          ASSERT_FALSE(refused);
          EXPECT_THAT(refused.error().text, HasSubstr("has the place of the blackhole 2001:db8:12::/48"));
          EXPECT_FALSE(open_socket().guard(plan_in_place()));
          EXPECT_THAT(hops(), AllOf(HasSubstr("fe80::8"), HasSubstr("fe80::9")));
        }
      });
    }
  }
}

TEST(RouteChange, WhatDoesWhatAGuardWouldIsAsGood) {
  in_namespace([] {
    auto [uplink, tunnel, plan, socket] = in_effect(plan_of({"10.2.0.0/16"}));
    const LinkPlan more = plan_of({"10.2.0.0/16", "10.12.0.0/16"}, {"10.70.0.1/24"}, 1420, {"10.12.9.0/24"});
    run("ip route add unreachable 10.12.0.0/16 metric 4294967295 && ip route add prohibit 10.12.0.0/16 metric "
        "4294967295 table 81 && ip route add throw 10.12.9.0/24 metric 2 table 81");
    EXPECT_OK(socket.check_change(plan, more));
    EXPECT_OK(open_socket().guard(more));
    EXPECT_OK(socket.apply(plan, more));
    EXPECT_THAT(socket.inspect(more)->missing_guards, ElementsAre());
    EXPECT_THAT(all_that_is_ours(), Not(HasSubstr("10.12.9.0"))) << "it stays whose it was";
  });
}

// They are looked at after a change that failed midway: as it is for as long as it takes.
TEST(RouteChange, ALocalNetworkThatStaysLocalIsOpenAllTheTime) {
  in_namespace([] {
    auto [uplink, tunnel, nested, socket] = in_effect(plan_with_local({"10.0.0.0/8", "10.2.3.0/24"}, {"10.2.0.0/16"}));
    run("ip route add 10.2.0.0/16 dev up0");
    const LinkPlan wider = plan_of({"10.0.0.0/8"}, {"198.51.100.1/32"}, 1420, {"10.2.0.0/16"});
    const LinkPlan same = plan_of({"10.0.0.0/8", "10.2.3.0/24"}, {"198.51.100.1/32"}, 1420, {"10.2.0.0/16"});
    for (const LinkPlan& to : {same, wider}) {
      EXPECT_OK(socket.guard(nested));
      EXPECT_OK(socket.apply(nested));
      ASSERT_FALSE(socket.apply(nested, to));
      EXPECT_TRUE(send_canary("10.2.4.4"));
      EXPECT_EQ(canaries(uplink), 1);
      send_canary("10.2.3.4");
      EXPECT_EQ(canaries(uplink), 0);
    }
    const LinkPlan narrow = plan_with_local({"10.0.0.0/8"}, {"10.2.9.0/24"});
    EXPECT_OK(socket.apply(nested, narrow));
    ASSERT_FALSE(socket.apply(narrow, wider));
    EXPECT_TRUE(send_canary("10.2.9.4"));
    EXPECT_EQ(canaries(uplink), 1);
    send_canary("10.2.4.4");
    EXPECT_EQ(canaries(uplink), 0);
  });
}

TEST(RouteChange, ALocalNetworkOfAPrefixThatLeavesIsNeverClosed) {
  in_namespace([] {
    auto [uplink, tunnel, from, socket] = in_effect(plan_with_local({"10.0.0.0/8"}, {"10.2.0.0/16"}));
    const RemovedRoutes removed;
    EXPECT_OK(socket.apply(from, plan_with_local({"172.16.0.0/12"}, {})));
    EXPECT_THAT(removed.types(), ElementsAre(RTN_UNICAST, RTN_BLACKHOLE, RTN_BLACKHOLE, RTN_THROW));
  });
}

// A configuration before both protected it, and its guards stand: to take the refused one back opens nothing of it.
TEST(RouteChange, WhatWasGuardedBeforeIsGuardedWhileAChangeIsTakenBack) {
  in_namespace([] {
    EXPECT_OK(open_socket().guard(plan_of({"10.8.0.0/16"})));
    auto [uplink, tunnel, from, socket] = in_effect(plan_with_local({"172.16.0.0/16"}, {}));
    const auto kept = socket.guards();
    ASSERT_TRUE(kept);
    const LinkPlan refused = plan_of({"10.8.0.0/16", "172.16.0.0/16"}, {"198.51.100.1/32"});
    ASSERT_FALSE(socket.apply(from, refused));
    const RemovedRoutes removed;
    EXPECT_OK(socket.apply(refused, from, *kept));
    EXPECT_THAT(removed.types(), Not(Contains(RTN_BLACKHOLE)));
    EXPECT_OK(socket.apply(refused, from));
    EXPECT_THAT(removed.types(), Contains(RTN_BLACKHOLE)) << "this test would not notice it";
  });
}

// There is nothing to be taken back.
TEST(RouteChange, WithoutTheInterfaceNothingBegins) {
  in_namespace([] {
    RouteSocket socket = open_socket();
    const LinkPlan from = plan_with_local({"10.2.0.0/16"}, {"10.2.9.0/24"});
    EXPECT_OK(socket.guard(from));
    const std::string before = all_that_is_ours();
    ASSERT_FALSE(socket.apply(from, plan_of({"10.2.0.0/16", "10.3.0.0/16"})));
    EXPECT_EQ(all_that_is_ours(), before);
  });
}

// What would become a local network was protected, and is until everything else has succeeded.
TEST(RouteChange, AChangeThatFailsOpensNothing) {
  in_namespace([] {
    auto [uplink, tunnel, from, socket] = in_effect(plan_with_local({"10.0.0.0/8", "10.2.3.0/24"}, {"10.9.0.0/16"}));
    run("ip route add 10.2.0.0/16 dev up0 && ip route add 10.9.0.0/16 dev up0");
    const LinkPlan to = plan_of({"10.0.0.0/8"}, {"198.51.100.1/32"}, 1420, {"10.2.0.0/16", "10.9.0.0/16"});
    const auto result = socket.apply(from, to);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::conflict);
    send_canary("10.2.3.4");
    send_canary("10.2.4.4");
    EXPECT_EQ(canaries(uplink), 0);
    EXPECT_TRUE(send_canary("10.9.0.1"));
    EXPECT_EQ(canaries(uplink), 1);
    const LinkPlan possible = plan_with_local({"10.0.0.0/8"}, {"10.2.0.0/16", "10.9.0.0/16"});
    EXPECT_OK(socket.apply(from, possible));
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(uplink), 1);
  });
}

TEST(RouteChange, WhatAnOlderConfigurationProtectedIsTunnelledOnceAWiderPrefixIsInEffect) {
  in_namespace([] {
    EXPECT_OK(open_socket().guard(plan_of({"10.2.3.0/24", "10.8.0.0/16"})));
    auto [uplink, tunnel, from, socket] = in_effect(plan_of({"172.16.0.0/16"}, {"10.70.0.1/24"}));
    const std::vector<IpPrefix> before = socket.guards().value();
    const LinkPlan refused = plan_of({"10.0.0.0/8"}, {"198.51.100.1/32"}, 1420, {"10.8.0.0/16"});
    ASSERT_FALSE(socket.apply(from, refused));
    EXPECT_OK(socket.apply(refused, from));
    EXPECT_EQ(socket.guards().value(), before) << "all as it was";
    EXPECT_OK(socket.apply(from, plan_with_local({"10.0.0.0/8"}, {"10.9.0.0/16"})));
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_TRUE(send_canary("10.8.3.4"));
    EXPECT_EQ(canaries(tunnel), 2);
    EXPECT_EQ(canaries(uplink), 0);
  });
}

TEST(RouteChange, AChangeThatFailsOpensNoPartOfALocalNetwork) {
  in_namespace([] {
    auto [uplink, tunnel, from, socket] = in_effect(plan_of({"10.2.3.0/24"}, {"10.70.0.1/24"}));
    run("ip route add 10.2.0.0/16 dev up0");
    ASSERT_FALSE(socket.apply(from, plan_of({"10.0.0.0/8"}, {"198.51.100.1/32"}, 1420, {"10.2.0.0/16"})));
    send_canary("10.2.3.4");
    EXPECT_EQ(canaries(uplink), 0);
    EXPECT_OK(socket.apply(from, plan_with_local({"10.0.0.0/8"}, {"10.2.0.0/16"})));
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(uplink), 1);
  });
}

}  // namespace
}  // namespace quipu::netlink
