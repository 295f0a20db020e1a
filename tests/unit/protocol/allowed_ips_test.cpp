// SPDX-License-Identifier: Apache-2.0
#include "protocol/allowed_ips.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace quipu::protocol {
namespace {

IpPrefix prefix(const char* text) {
  return *IpPrefix::parse(text);
}

IpAddress address(const char* text) {
  return *IpAddress::parse(text);
}

TEST(AllowedIps, TheLongestPrefixWins) {
  AllowedIps allowed;
  ASSERT_TRUE(allowed.insert(prefix("10.0.0.0/8"), PeerId(1)));
  ASSERT_TRUE(allowed.insert(prefix("10.2.0.0/16"), PeerId(2)));
  ASSERT_TRUE(allowed.insert(prefix("10.2.3.4/32"), PeerId(3)));
  EXPECT_EQ(allowed.find(address("10.1.1.1")), PeerId(1));
  EXPECT_EQ(allowed.find(address("10.2.1.1")), PeerId(2));
  EXPECT_EQ(allowed.find(address("10.2.3.4")), PeerId(3));
  EXPECT_EQ(allowed.find(address("10.2.3.5")), PeerId(2));
  EXPECT_EQ(allowed.find(address("11.0.0.1")), std::nullopt);
}

TEST(AllowedIps, FamiliesDoNotMix) {
  AllowedIps allowed;
  ASSERT_TRUE(allowed.insert(prefix("0.0.0.0/0"), PeerId(1)));
  EXPECT_EQ(allowed.find(address("::1")), std::nullopt);
  ASSERT_TRUE(allowed.insert(prefix("::/0"), PeerId(2)));
  EXPECT_EQ(allowed.find(address("2001:db8::1")), PeerId(2));
  EXPECT_EQ(allowed.find(address("192.0.2.1")), PeerId(1));
}

TEST(AllowedIps, APrefixHasOneOwner) {
  AllowedIps allowed;
  ASSERT_TRUE(allowed.insert(prefix("10.0.0.0/24"), PeerId(1)));
  EXPECT_EQ(allowed.insert(prefix("10.0.0.7/24"), PeerId(2)).error(), Errc::duplicate);
  EXPECT_TRUE(allowed.insert(prefix("10.0.0.0/24"), PeerId(1)));
}

TEST(AllowedIps, RemovedPrefixesUncoverTheOnesAround) {
  AllowedIps allowed;
  ASSERT_TRUE(allowed.insert(prefix("10.0.0.0/8"), PeerId(1)));
  ASSERT_TRUE(allowed.insert(prefix("10.2.0.0/16"), PeerId(2)));
  ASSERT_TRUE(allowed.insert(prefix("10.3.0.0/16"), PeerId(2)));
  allowed.remove(PeerId(2));
  EXPECT_EQ(allowed.find(address("10.2.1.1")), PeerId(1));
  allowed.remove(PeerId(1));
  EXPECT_EQ(allowed.find(address("10.2.1.1")), std::nullopt);
}

TEST(AllowedIps, WhatIsLocalIsNobodysUnlessSomethingLongerIs) {
  AllowedIps allowed;
  ASSERT_TRUE(allowed.insert(prefix("10.0.0.0/8"), PeerId(1)));
  ASSERT_TRUE(allowed.insert(prefix("10.1.5.0/24"), PeerId(2)));
  allowed.set_local(std::vector{prefix("10.1.0.0/16"), prefix("10.9.0.0/16")});
  EXPECT_EQ(allowed.find(address("10.1.1.1")), std::nullopt);
  EXPECT_EQ(allowed.find(address("10.1.5.1")), PeerId(2));
  EXPECT_EQ(allowed.find(address("10.2.0.1")), PeerId(1));
  // A peer may take what was local, and be there before it is no longer.
  ASSERT_TRUE(allowed.insert(prefix("10.9.0.0/16"), PeerId(2)));
  EXPECT_EQ(allowed.find(address("10.9.0.1")), std::nullopt);
  allowed.set_local(std::vector{prefix("10.2.0.0/16")});
  EXPECT_EQ(allowed.find(address("10.9.0.1")), PeerId(2));
  EXPECT_EQ(allowed.find(address("10.1.1.1")), PeerId(1));
  EXPECT_EQ(allowed.find(address("10.2.0.1")), std::nullopt);
  // Whoever comes and goes around it.
  allowed.remove(PeerId(1));
  EXPECT_EQ(allowed.find(address("10.2.0.1")), std::nullopt);
  ASSERT_TRUE(allowed.insert(prefix("10.0.0.0/8"), PeerId(3)));
  EXPECT_EQ(allowed.find(address("10.2.0.1")), std::nullopt);
  EXPECT_EQ(allowed.find(address("10.3.0.1")), PeerId(3));
}

// Against the plainest implementation there is: try every prefix.
TEST(AllowedIps, AgreesWithALinearSearch) {
  std::mt19937 random(1);
  AllowedIps allowed;
  std::map<IpPrefix, PeerId> all;
  const auto any_address = [&](bool v6) {
    IpAddress out;
    out.family = v6 ? IpFamily::v6 : IpFamily::v4;
    // Few distinct values, so that prefixes nest.
    for (std::size_t i = 0; i < (v6 ? 16U : 4U); ++i)
      out.octets[i] = static_cast<std::uint8_t>(random() % 2 == 0 ? 0 : 0xc0 >> (random() % 4));
    return out;
  };
  for (int round = 0; round < 400; ++round) {
    const bool v6 = random() % 2 == 0;
    const IpPrefix made = IpPrefix{any_address(v6), static_cast<int>(random() % (v6 ? 129 : 33))}.masked();
    const PeerId owner(static_cast<std::uint32_t>(random() % 8));
    const bool inserted = allowed.insert(made, owner).has_value();
    EXPECT_EQ(inserted, !all.contains(made) || all.at(made) == owner);
    if (inserted) all[made] = owner;
    if (round % 50 == 49) {
      allowed.remove(owner);
      std::erase_if(all, [&](const auto& entry) { return entry.second == owner; });
    }
    for (int i = 0; i < 50; ++i) {
      const IpAddress sought = any_address(random() % 2 == 0);
      std::optional<PeerId> best;
      int length = -1;
      for (const auto& [candidate, peer] : all)
        if (candidate.length > length && candidate.contains(sought)) {
          best = peer;
          length = candidate.length;
        }
      ASSERT_EQ(allowed.find(sought), best) << sought.text();
    }
  }
}

}  // namespace
}  // namespace quipu::protocol
