// SPDX-License-Identifier: Apache-2.0
#include "protocol/inner_packet.h"

#include <gtest/gtest.h>

namespace quipu::protocol {
namespace {

Bytes ipv4(std::uint8_t flags) {
  Bytes packet(1400);
  packet[0] = 0x45;
  packet[6] = flags;
  return packet;
}

Bytes ipv6(std::size_t size) {
  Bytes packet(size);
  packet[0] = 0x60;
  return packet;
}

TEST(InnerPacket, OfIpv4MayBeFragmentedWithoutDf) {
  EXPECT_FALSE(may_be_fragmented(ipv4(0x40)));
  EXPECT_TRUE(may_be_fragmented(ipv4(0)));
  EXPECT_TRUE(may_be_fragmented(ipv4(0x20))) << "a fragment itself";
}

TEST(InnerPacket, OfIpv6MayBeFragmentedUpToWhatEveryLinkCarries) {
  EXPECT_TRUE(may_be_fragmented(ipv6(1280)));
  EXPECT_FALSE(may_be_fragmented(ipv6(1281)));
}

}  // namespace
}  // namespace quipu::protocol
