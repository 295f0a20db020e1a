// SPDX-License-Identifier: Apache-2.0
// What is taken away from a tunnel that runs, in a real kernel. tests/netns/restore_test.py has more of it.
#include "daemon/link_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/event_names.h"
#include "support/recorded_log.h"
#include "support/run_until.h"
#include "unit/netlink/kernel_test.h"

namespace quipu::daemon {
namespace {

using namespace netlink;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LinkKeeperTest : public testing::Test {
 protected:
  // In a network namespace where the tunnel is whole and kept so.
  static void with_tunnel(const std::function<void(net::Loop&, LinkKeeper&, const test::RecordedLog&)>& body) {
    in_namespace([&] {
      const LinkPlan plan = plan_of({"10.2.0.0/16"});
      RouteSocket routes = open_socket();
      EXPECT_OK(routes.guard(plan));
      const UniqueFd tunnel = open_tun("quipu0");
      EXPECT_OK(routes.own("quipu0"));
      EXPECT_OK(routes.apply(plan));
      net::Loop loop;
      test::RecordedLog log;
      LinkKeeper keeper(loop, std::move(*RouteMonitor::open("quipu0")), routes, plan, log);
      body(loop, keeper, log);
    });
  }
};

TEST_F(LinkKeeperTest, GuardsAreSetAgainAlsoWhereTheInterfaceIsNotFound) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    run("ip link set quipu0 down && ip link set quipu0 name renamed0");
    run("ip rule del pref 81 && ip route flush table 81 && ip route del blackhole 10.2.0.0/16 metric 4294967295");
    test::run_until(loop, [&] { return log.count(event::kRoutesNotRestored) > 0; });
    EXPECT_THAT(keeper.trouble(), HasSubstr("quipu0 does not exist"));
    EXPECT_THAT(output_of("ip rule show pref 81"), HasSubstr("lookup 81 proto 81"));
    for (const std::string table : {"81", "main"})
      EXPECT_THAT(output_of("ip route show table " + table), HasSubstr("blackhole 10.2.0.0/16 proto 81"));
    run("ip link set renamed0 name quipu0 && ip link set quipu0 up");
    test::run_until(loop, [&] { return log.count(event::kRoutesRestored) > 0 && keeper.trouble().empty(); });
    EXPECT_TRUE(send_canary("10.2.3.4"));
  });
}

TEST_F(LinkKeeperTest, AnotherInterfaceThatGetsTheNameGetsNoPacket) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    run("ip link set quipu0 down && ip addr flush dev quipu0 && ip link set quipu0 name old0");
    run("ip link set up0 down && ip link set up0 name quipu0 && ip link set quipu0 up");
    run("ip route add 10.2.0.0/16 dev quipu0 table 81 proto 81");
    test::run_until(loop, [&] { return log.count(event::kRoutesNotRestored) > 0; });
    EXPECT_THAT(keeper.trouble(), HasSubstr("quipu0 does not exist: another one has its name"));
    test::run_until(loop, [] { return !output_of("ip route show table 81").contains("dev quipu0"); });
    EXPECT_FALSE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(uplink), 0);
    run("ip link set quipu0 down && ip link set quipu0 name up0 && ip link set old0 name quipu0");
    run("ip link set quipu0 up");
    test::run_until(loop, [&] { return log.count(event::kRoutesRestored) > 0 && keeper.trouble().empty(); });
    EXPECT_TRUE(send_canary("10.2.3.4"));
    EXPECT_EQ(canaries(uplink), 0);
  });
}

TEST_F(LinkKeeperTest, ARouteThatTookThePlaceOfTheTunnelsIsPutRight) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    run("ip route replace 10.2.0.0/16 table 81 proto 81 nexthop dev up0 nexthop dev quipu0");
    test::run_until(loop, [&] { return log.count(event::kRoutesRestored) > 0; });
    EXPECT_THAT(log.values(event::kRoutesRestored, "missing"),
                Contains("removal of the route 10.2.0.0/16, route 10.2.0.0/16"));
    EXPECT_THAT(log.values(event::kRoutesRestored, "alarm"), Contains("yes"));
    EXPECT_THAT(keeper.trouble(), IsEmpty());
    EXPECT_THAT(output_of("ip route show table 81"), HasSubstr("10.2.0.0/16 dev quipu0 proto 81 scope link"));
  });
}

// It leads packets of the tunnel's prefix away, and the kernel cannot tell it from the tunnel's route: for an admin to
// remove.
void add_what_is_too_much_like_ours() {
  run("ip route append 10.2.0.0/16 table 81 proto 81 scope link nexthop dev up0 nexthop dev up0");
}

TEST_F(LinkKeeperTest, WhatIsPutBackIsToldWhileSomethingElseCannotBe) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    add_what_is_too_much_like_ours();
    test::run_until(loop, [&] { return log.count(event::kRoutesNotRestored) > 0; });
    EXPECT_EQ(log.count(event::kRoutesRestored), 0);
    run("ip rule del pref 81");
    test::run_until(loop, [&] { return log.count(event::kRoutesRestored) > 0; });
    EXPECT_THAT(log.values(event::kRoutesRestored, "missing"), ElementsAre("IPv4 rule of priority 81"));
    EXPECT_THAT(log.values(event::kRoutesRestored, "alarm"), ElementsAre("yes"));
    EXPECT_THAT(log.values(event::kRoutesNotRestored, "missing"), ElementsAre("removal of the route 10.2.0.0/16"))
        << "told once";
    EXPECT_THAT(keeper.trouble(), HasSubstr("removal of the route 10.2.0.0/16"));
  });
}

TEST_F(LinkKeeperTest, AnAddressThatCannotBeSetKeepsNoRouteAway) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    run("ip addr del 10.70.0.1/24 dev quipu0 && ip addr add 10.70.0.1/24 dev up0 && ip link set quipu0 down");
    run("ip link set quipu0 up");
    test::run_until(loop, [&] { return output_of("ip route show table 81").contains("10.2.0.0/16 dev quipu0"); });
    test::run_until(loop, [&] { return log.count(event::kRoutesNotRestored) > 0; });
    EXPECT_THAT(keeper.trouble(), HasSubstr("10.70.0.1 is in use on the interface up0"));
  });
}

// The kernel tells of no removal then.
TEST_F(LinkKeeperTest, AGuardInWhosePlaceSomebodyPutAnotherRouteIsMissed) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    run("ip route replace 10.2.0.0/16 dev up0 metric 4294967295");
    test::run_until(loop, [&] { return log.count(event::kRoutesNotRestored) > 0; });
    EXPECT_THAT(keeper.trouble(), HasSubstr("10.2.0.0/16: exists already"));
    run("ip route del 10.2.0.0/16 dev up0 metric 4294967295");
    test::run_until(loop, [&] { return log.count(event::kRoutesRestored) > 0 && keeper.trouble().empty(); });
    EXPECT_THAT(output_of("ip route show"), HasSubstr("blackhole 10.2.0.0/16 proto 81"));
  });
}

// What is taken away again and again waits ever longer, also beside it.
TEST_F(LinkKeeperTest, AFailureThatLastsMakesNothingElseWait) {
  with_tunnel([](net::Loop& /*loop*/, LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    add_what_is_too_much_like_ours();
    for (int i = 0; i < 6; ++i)
      keeper.check();
    EXPECT_EQ(log.count(event::kRoutesNotRestored), 1);
    EXPECT_EQ(keeper.pause(), StormPace::kShortest);
    for (int i = 0; i < 6; ++i) {
      run("ip rule del pref 81");
      keeper.check();
    }
    EXPECT_EQ(keeper.pause(), StormPace::kLongest);
  });
}

TEST_F(LinkKeeperTest, OfTwoFailuresNoneHidesTheOther) {
  with_tunnel([](net::Loop& loop, const LinkKeeper& keeper, const test::RecordedLog& log) {
    const UniqueFd uplink = open_uplink();
    add_what_is_too_much_like_ours();
    // With its last address, an interface loses its routes.
    run("ip address add 10.71.0.1/24 dev quipu0");
    run("ip address del 10.70.0.1/24 dev quipu0 && ip address add 10.70.0.1/24 dev up0");
    test::run_until(loop, [&] { return log.count(event::kRoutesNotRestored) > 0; });
    EXPECT_THAT(keeper.trouble(), HasSubstr("removal of the route 10.2.0.0/16"));
    EXPECT_THAT(keeper.trouble(), HasSubstr("address 10.70.0.1 is in use on the interface up0"));
    EXPECT_THAT(log.values(event::kRoutesNotRestored, "missing"),
                Contains("removal of the route 10.2.0.0/16, address 10.70.0.1/24"));
  });
}

}  // namespace
}  // namespace quipu::daemon
