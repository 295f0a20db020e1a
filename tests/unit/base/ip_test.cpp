// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(IpAddress, ParsesAndPrints) {
  for (const std::string_view text : {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::"})
    EXPECT_EQ(IpAddress::parse(text)->text(), text);
  for (const std::string_view text : {"", "192.0.2", "192.0.2.256", "2001:db8", "host", "1.2.3.4 "})
    EXPECT_FALSE(IpAddress::parse(text).has_value()) << text;
}

TEST(IpAddress, KnowsLoopback) {
  for (const std::string_view text : {"127.0.0.1", "127.255.255.255", "::1"})
    EXPECT_TRUE(IpAddress::parse(text)->is_loopback()) << text;
  for (const std::string_view text : {"128.0.0.1", "0.0.0.1", "::", "::2", "7f00::1"})
    EXPECT_FALSE(IpAddress::parse(text)->is_loopback()) << text;
}

TEST(IpPrefix, MasksAndContains) {
  const auto prefix = IpPrefix::parse("10.1.2.3/20");
  ASSERT_TRUE(prefix.has_value());
  EXPECT_EQ(prefix->masked().text(), "10.1.0.0/20");
  EXPECT_TRUE(prefix->contains(*IpAddress::parse("10.1.15.255")));
  EXPECT_FALSE(prefix->contains(*IpAddress::parse("10.1.16.0")));
  EXPECT_FALSE(prefix->contains(*IpAddress::parse("::1")));
  EXPECT_EQ(IpPrefix::parse("2001:db8:ffff::/33")->masked().text(), "2001:db8:8000::/33");
  EXPECT_TRUE(IpPrefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("255.1.1.1")));
  EXPECT_EQ(IpPrefix::parse("10.0.0.1")->length, 32);
  for (const std::string_view text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0.0/1x"})
    EXPECT_FALSE(IpPrefix::parse(text).has_value()) << text;
}

TEST(Sender, IsAnAddressOrAnIpv6Network) {
  const auto sender = [](std::string_view text) { return sender_of(IpAddress::parse(text).value()).text(); };
  EXPECT_EQ(sender("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(sender("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
}

TEST(IpPrefix, TheLongestOfSeveralThatContainsAnother) {
  const auto prefix = [](std::string_view text) { return IpPrefix::parse(text).value(); };
  const std::vector<IpPrefix> all = {prefix("10.0.0.0/8"), prefix("10.1.2.0/24"), prefix("10.1.0.0/16"),
                                     prefix("::/0")};
  EXPECT_EQ(longest_match(all, prefix("10.1.2.3")), 24);
  EXPECT_EQ(longest_match(all, prefix("10.1.2.0/23")), 16);
  EXPECT_EQ(longest_match(all, prefix("10.2.0.0/16")), 8);
  EXPECT_EQ(longest_match(all, prefix("10.0.0.0/7")), -1);
  EXPECT_EQ(longest_match(all, prefix("fd00::/8")), 0);
  EXPECT_EQ(longest_match({}, prefix("10.0.0.0/8")), -1);
}

TEST(Endpoint, ParsesBothFamilies) {
  for (const std::string_view text : {"192.0.2.1:51900", "[2001:db8::1]:1"})
    EXPECT_EQ(Endpoint::parse(text)->text(), text);
  for (const std::string_view text :
       {"192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "2001:db8::1:51900", "[192.0.2.1]:5"})
    EXPECT_FALSE(Endpoint::parse(text).has_value()) << text;
}

}  // namespace
}  // namespace quipu
