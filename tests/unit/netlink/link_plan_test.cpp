// SPDX-License-Identifier: Apache-2.0
#include "netlink/link_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quipu::netlink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

IpPrefix prefix(std::string_view text) {
  return IpPrefix::parse(text).value();
}

LinkConfig config(std::vector<IpPrefix> allowed_ips) {
  return {"quipu0", 1420, {prefix("10.70.0.1/24")}, std::move(allowed_ips), {}};
}

TEST(LinkPlan, SortsAndMergesWhatSeveralPeersShare) {
  const auto plan = plan_link(config({prefix("10.2.0.0/16"), prefix("10.1.0.0/16"), prefix("10.2.0.0/16")}));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->prefixes, ElementsAre(prefix("10.1.0.0/16"), prefix("10.2.0.0/16")));
}

TEST(LinkPlan, EveryPrefixHasATunnelRouteAndABlackholeBehindIt) {
  const auto plan = plan_link(config({prefix("10.2.0.0/16"), prefix("2001:db8::/48")}));
  ASSERT_TRUE(plan);
  const auto tunnel = plan->routes(Route::Kind::tunnel);
  const auto blackholes = plan->routes(Route::Kind::blackhole);
  ASSERT_EQ(tunnel.size(), 2U);
  ASSERT_EQ(blackholes.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(tunnel[i].prefix, blackholes[i].prefix);
    EXPECT_LT(tunnel[i].metric(), 100U);
    EXPECT_EQ(blackholes[i].metric(), 0xffffffffU);
  }
}

TEST(LinkPlan, DefaultRoutesBecomeHalves) {
  const auto plan = plan_link(config({prefix("0.0.0.0/0"), prefix("::/0")}));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->prefixes,
              ElementsAre(prefix("0.0.0.0/1"), prefix("128.0.0.0/1"), prefix("::/1"), prefix("8000::/1")));
}

TEST(LinkPlan, RefusesAPrefixThatHoldsAnEndpoint) {
  LinkConfig with_endpoint = config({prefix("10.2.0.0/16"), prefix("192.0.2.0/24")});
  with_endpoint.endpoints = {IpAddress::parse("192.0.2.2").value()};
  const auto plan = plan_link(with_endpoint);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Errc::conflict);
  EXPECT_THAT(plan.error().text, HasSubstr("192.0.2.2 lies inside the protected prefix 192.0.2.0/24"));
}

TEST(LinkPlan, ChecksLaterEndpoints) {
  const auto plan = plan_link(config({prefix("10.2.0.0/16"), prefix("2001:db8::/48")}));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(check_endpoint(*plan, IpAddress::parse("10.3.0.1").value()));
  EXPECT_TRUE(check_endpoint(*plan, IpAddress::parse("2001:db9::1").value()));
  EXPECT_FALSE(check_endpoint(*plan, IpAddress::parse("10.2.255.255").value()));
  EXPECT_FALSE(check_endpoint(*plan, IpAddress::parse("2001:db8::1").value()));
}

TEST(LinkPlan, NamesWhatCannotBe) {
  EXPECT_THAT(plan_link(config({prefix("10.2.0.1/16")})).error().text, HasSubstr("write 10.2.0.0/16 or 10.2.0.1"));
  LinkConfig small = config({prefix("2001:db8::/48")});
  small.mtu = 1279;
  EXPECT_THAT(plan_link(small).error().text, HasSubstr("MTU 1279: 1280 to 65535"));
  small.allowed_ips.clear();
  EXPECT_TRUE(plan_link(small));
  small.mtu = 65536;
  EXPECT_EQ(plan_link(small).error().code, Errc::out_of_range);
  LinkConfig named = config({});
  named.name = "sixteen-letters-";
  EXPECT_EQ(plan_link(named).error().code, Errc::out_of_range);
  for (const char* address : {"224.0.0.1/24", "0.0.0.0/8", "ff02::1/64", "::/64"}) {
    LinkConfig strange = config({});
    strange.addresses = {prefix(address)};
    EXPECT_THAT(plan_link(strange).error().text, HasSubstr(address));
  }
}

TEST(LinkPlan, DiffListsEachChangeOnce) {
  LinkConfig before = config({prefix("10.1.0.0/16"), prefix("10.2.0.0/16")});
  LinkConfig after = config({prefix("10.2.0.0/16"), prefix("10.3.0.0/16")});
  after.addresses = {prefix("10.70.0.9/24")};
  after.mtu = 1400;
  const LinkChange change = diff(*plan_link(before), *plan_link(after));
  EXPECT_THAT(change.add_prefixes, ElementsAre(prefix("10.3.0.0/16")));
  EXPECT_THAT(change.remove_prefixes, ElementsAre(prefix("10.1.0.0/16")));
  EXPECT_THAT(change.add_addresses, ElementsAre(prefix("10.70.0.9/24")));
  EXPECT_THAT(change.remove_addresses, ElementsAre(prefix("10.70.0.1/24")));
  EXPECT_TRUE(change.mtu);
  EXPECT_FALSE(change.empty());
  EXPECT_TRUE(diff(*plan_link(before), *plan_link(before)).empty());
}

}  // namespace
}  // namespace quipu::netlink
