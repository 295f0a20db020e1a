// SPDX-License-Identifier: Apache-2.0
#include "offload/traffic_class.h"

#include <gtest/gtest.h>

#include "support/slow_segments.h"

namespace quipu::offload {
namespace {

constexpr std::uint8_t kNotCapable = 0;
constexpr std::uint8_t kCapable1 = 1;
constexpr std::uint8_t kCapable0 = 2;
constexpr std::uint8_t kCongestion = 3;
constexpr std::uint8_t kDropped = 0xff;
constexpr std::uint8_t kDscp = 0xb8;  // RFC 3246: expedited forwarding

Bytes packet_of(bool v6, std::uint8_t traffic_class) {
  return test::FlowPacket{.v6 = v6, .traffic_class = traffic_class, .payload = Bytes(8)}.bytes(false);
}

// RFC 6040, figure 4: by the inner field and the outer one.
TEST(TrafficClass, EcnComesOutAsRfc6040Says) {
  constexpr std::uint8_t kOut[4][4] = {
      // outer:       Not-ECT     ECT(1)       ECT(0)       CE
      /* Not-ECT */ {kNotCapable, kNotCapable, kNotCapable, kDropped},
      /* ECT(1) */ {kCapable1, kCapable1, kCapable1, kCongestion},
      /* ECT(0) */ {kCapable0, kCapable1, kCapable0, kCongestion},
      /* CE */ {kCongestion, kCongestion, kCongestion, kCongestion},
  };
  for (const bool v6 : {false, true})
    for (std::uint8_t inner = 0; inner < 4; ++inner)
      for (std::uint8_t outer = 0; outer < 4; ++outer) {
        Bytes packet = packet_of(v6, kDscp | inner);
        const bool kept = take_congestion(packet, kDscp | outer);
        const std::uint8_t expected = kOut[inner][outer];
        EXPECT_EQ(kept, expected != kDropped) << int{inner} << ' ' << int{outer};
        if (kept) {
          EXPECT_EQ(packet, packet_of(v6, kDscp | expected)) << int{inner} << ' ' << int{outer};
        }
      }
}

TEST(TrafficClass, OfTheDatagramHasTheEcnAndOnlyOnRequestTheDscp) {
  for (const bool v6 : {false, true}) {
    const Bytes packet = packet_of(v6, kDscp | kCapable0);
    EXPECT_EQ(outer_traffic_class(packet, false), kCapable0);
    EXPECT_EQ(outer_traffic_class(packet, true), kDscp | kCapable0);
  }
}

TEST(TrafficClass, OfNoIpPacketIsNone) {
  for (const std::size_t size : {0U, 1U, 19U, 39U}) {
    Bytes packet(size, 0x6f);
    const Bytes before = packet;
    EXPECT_EQ(outer_traffic_class(packet, true), 0);
    EXPECT_FALSE(take_congestion(packet, kCongestion));
    EXPECT_TRUE(take_congestion(packet, kCapable1));
    EXPECT_EQ(packet, before);
  }
  Bytes lying(20, 0x4f);  // a header that is longer than the packet
  const Bytes before = lying;
  EXPECT_TRUE(take_congestion(lying, kCongestion));
  EXPECT_EQ(lying, before);
}

}  // namespace
}  // namespace quipu::offload
