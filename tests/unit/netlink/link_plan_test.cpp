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
  return {"quipu0", 1420, {prefix("10.70.0.1/24")}, std::move(allowed_ips), {}, {}};
}

TEST(LinkPlan, SortsAndMergesWhatSeveralPeersShare) {
  const auto plan = plan_link(config({prefix("10.2.0.0/16"), prefix("10.1.0.0/16"), prefix("10.2.0.0/16")}));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->prefixes, ElementsAre(prefix("10.1.0.0/16"), prefix("10.2.0.0/16")));
}

std::vector<std::string> texts(const std::vector<Route>& routes) {
  std::vector<std::string> out;
  out.reserve(routes.size());
  for (const Route& route : routes)
    out.push_back(route.text());
  return out;
}

TEST(LinkPlan, EveryPrefixHasATunnelRouteAndABlackholeBehindItAndOneInMain) {
  LinkConfig local = config({prefix("10.0.0.0/8"), prefix("2001:db8::/48")});
  local.local_networks = {prefix("10.1.0.0/24")};
  const auto plan = plan_link(local);
  ASSERT_TRUE(plan);
  EXPECT_THAT(texts(plan->tunnels()), ElementsAre("route 10.0.0.0/8", "route 2001:db8::/48"));
  EXPECT_THAT(texts(plan->guards()), ElementsAre("throw 10.1.0.0/24", "blackhole 10.0.0.0/8", "blackhole 2001:db8::/48",
                                                 "blackhole 10.0.0.0/8 in main", "blackhole 2001:db8::/48 in main"));
  EXPECT_TRUE(std::ranges::is_sorted(plan->guards()));
  EXPECT_THAT(plan->families(), ElementsAre(IpFamily::v4, IpFamily::v6));
  for (const Route& route : plan->tunnels())
    EXPECT_LT(route.metric(), plan->guards().front().metric()) << "a throw never wins over a tunnel";
  for (std::size_t i = 1; i < 5; ++i)
    EXPECT_EQ(plan->guards()[i].metric(), 0xffffffffU);
}

TEST(LinkPlan, TheLongestPrefixDecidesBetweenProtectedAndLocal) {
  LinkConfig local = config({prefix("10.0.0.0/8"), prefix("10.1.5.0/24")});
  local.local_networks = {prefix("10.1.0.0/16"), prefix("192.0.2.0/24"), prefix("fd01::/64")};
  const auto plan = plan_link(local);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->local_networks, ElementsAre(prefix("10.1.0.0/16"))) << "of the others nothing need be said";
  EXPECT_TRUE(plan->protects(prefix("10.2.0.0/16")));
  EXPECT_TRUE(plan->protects(prefix("10.1.5.128/25")));
  EXPECT_FALSE(plan->protects(prefix("10.1.4.0/24")));
  EXPECT_FALSE(plan->protects(prefix("192.0.2.0/24")));
  EXPECT_FALSE(plan->protects(prefix("0.0.0.0/0")));
  EXPECT_TRUE(check_endpoint(*plan, IpAddress::parse("10.1.0.9").value()));
  EXPECT_FALSE(check_endpoint(*plan, IpAddress::parse("10.1.5.9").value()));
  local.local_networks = {prefix("10.1.5.0/24")};
  EXPECT_EQ(plan_link(local).error().code, Errc::conflict);
  EXPECT_THAT(plan_link(local).error().text, HasSubstr("10.1.5.0/24"));
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

}  // namespace
}  // namespace quipu::netlink
