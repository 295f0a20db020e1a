// SPDX-License-Identifier: Apache-2.0
#include "store/guard_list.h"

#include <gtest/gtest.h>

namespace quipu::store {
namespace {

IpPrefix prefix(std::string_view text) {
  return IpPrefix::parse(text).value();
}

TEST(GuardList, ComesBackAsItWent) {
  const GuardList guards{{prefix("10.0.0.0/8"), prefix("2001:db8::/48")}, {prefix("10.1.0.0/24")}};
  EXPECT_EQ(encode_guards(guards), "protected 10.0.0.0/8\nprotected 2001:db8::/48\nlocal 10.1.0.0/24\n");
  EXPECT_EQ(decode_guards(encode_guards(guards)), guards);
  EXPECT_EQ(decode_guards(""), GuardList{});
}

TEST(GuardList, OfADamagedTextTheRestCounts) {
  const GuardList rest{{prefix("10.2.0.0/16")}, {}};
  for (const std::string_view damage :
       {"protected\n", "protected 10.3.0.0/33\n", "protected 10.3.0.1/16\n", "other 10.3.0.0/16\n", "\n\n", "local\n"})
    EXPECT_EQ(decode_guards(std::string(damage) + "protected 10.2.0.0/16"), rest) << damage;
}

}  // namespace
}  // namespace quipu::store
