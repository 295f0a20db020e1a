// SPDX-License-Identifier: Apache-2.0
#include "kms/request_rules.h"

#include <gtest/gtest.h>

namespace quipu::kms {
namespace {

etsi::KeyRequest request(std::optional<std::uint32_t> number, std::optional<std::uint32_t> size) {
  etsi::KeyRequest r;
  r.number = number;
  r.size_bits = size;
  return r;
}

TEST(RequestRules, DefaultsAreOneKeyOfTheDefaultSize) {
  const auto demand = demand_of({}, Limits{});
  ASSERT_TRUE(demand);
  EXPECT_EQ(demand->number, 1U);
  EXPECT_EQ(demand->size_bits, 256U);
  EXPECT_EQ(demand->slots(), 1U);
}

TEST(RequestRules, SizesTakeWholeSlots) {
  EXPECT_EQ((Demand{1, 64}.slots_per_key()), 1U);
  EXPECT_EQ((Demand{1, 264}.slots_per_key()), 2U);
  EXPECT_EQ((Demand{3, 1024}.slots()), 12U);
}

TEST(RequestRules, ThePrescribedMessages) {
  EXPECT_EQ(demand_of(request(1, 257), Limits{}).error().message, "size shall be a multiple of 8");
  etsi::KeyRequest mandatory;
  mandatory.extension_mandatory.push_back({"acme_route", "1"});
  EXPECT_EQ(demand_of(mandatory, Limits{}).error().message, "not all extension_mandatory parameters are supported");
  etsi::KeyRequest optional;
  optional.extension_optional.push_back({"acme_route", "1"});
  EXPECT_TRUE(demand_of(optional, Limits{}));
}

TEST(RequestRules, NumbersAndSizesHaveBounds) {
  for (const auto& [number, size] : {std::pair{0U, 256U}, {129U, 256U}, {1U, 0U}, {1U, 56U}, {1U, 8'200U}}) {
    const auto demand = demand_of(request(number, size), Limits{});
    ASSERT_FALSE(demand) << number << ' ' << size;
    EXPECT_EQ(demand.error().http_status, 400U);
    EXPECT_FALSE(demand.error().details.empty());
  }
  EXPECT_TRUE(demand_of(request(128, 64), Limits{}));
  EXPECT_TRUE(demand_of(request(1, 8'192), Limits{}));
  // More than one lease holds.
  EXPECT_TRUE(demand_of(request(32, 8'192), Limits{}));
  EXPECT_FALSE(demand_of(request(33, 8'192), Limits{}));
}

TEST(RequestRules, AdditionalSlavesAreCountedServedAndOnce) {
  KmeConfig config;
  config.peers = {{KmeId("kme-b"), {SaeId("b1"), SaeId("b2"), SaeId("b3")}}, {KmeId("kme-c"), {SaeId("c1")}}};
  config.limits.max_additional_slaves = 3;
  etsi::EncKeysCall call{SaeId("b1"), {}};
  const auto order = [&](std::vector<SaeId> additional) {
    call.request.additional_slave_sae_ids = std::move(additional);
    return order_of(SaeId("m"), call, config.peers[0], config);
  };
  const auto at_one = order({SaeId("b2"), SaeId("b1"), SaeId("b2")});
  EXPECT_EQ(at_one->slaves, (std::vector{SaeId("b1"), SaeId("b2")}));
  EXPECT_TRUE(at_one->further.empty());
  const auto at_two = order({SaeId("c1"), SaeId("b3"), SaeId("c1")});
  EXPECT_EQ(at_two->slaves, (std::vector{SaeId("b1"), SaeId("b3")}));
  EXPECT_EQ(at_two->further, (std::map<KmeId, std::vector<SaeId>>{{KmeId("kme-c"), {SaeId("c1")}}}));
  EXPECT_EQ(order({SaeId("x1")}).error().http_status, 400U);
  EXPECT_EQ(order({SaeId("b1"), SaeId("b2"), SaeId("b3"), SaeId("c1")}).error().http_status, 400U);
}

TEST(RequestRules, KeyIdsAreUuidsAndOnce) {
  const std::string id = "0a0b0c0d-1111-4222-8333-444455556666";
  const auto call = [](std::vector<std::string> texts) {
    etsi::DecKeysCall c{SaeId("m"), {}};
    for (std::string& text : texts)
      c.key_ids.ids.emplace_back(std::move(text));
    return c;
  };
  EXPECT_TRUE(key_ids_of(call({id}), Limits{}));
  EXPECT_EQ(key_ids_of(call({id, "not-a-uuid"}), Limits{}).error().message,
            "one or more keys specified are not found on KME");
  // The same id in another case is the same id.
  EXPECT_FALSE(key_ids_of(call({id, "0A0B0C0D-1111-4222-8333-444455556666"}), Limits{}));
  EXPECT_FALSE(key_ids_of(call({}), Limits{}));
  Limits limits;
  limits.max_keys_per_request = 1;
  EXPECT_FALSE(key_ids_of(call({id, "1a0b0c0d-1111-4222-8333-444455556666"}), limits));
}

}  // namespace
}  // namespace quipu::kms
