// SPDX-License-Identifier: Apache-2.0
#include "offload/mss.h"

#include <gtest/gtest.h>

#include "support/slow_segments.h"

namespace quipu::offload {
namespace {

constexpr std::uint8_t kSyn = 0x02;

Bytes mss_option(std::uint16_t value, bool odd = false) {
  const auto high = static_cast<std::uint8_t>(value >> 8);
  const auto low = static_cast<std::uint8_t>(value);
  if (odd) return {1, 2, 4, high, low, 1, 1, 1};
  return {2, 4, high, low};
}

test::FlowPacket syn(bool v6, const Bytes& options) {
  return {.v6 = v6, .flags = kSyn, .tcp_options = options};
}

TEST(Mss, IsLoweredToWhatFits) {
  for (const bool v6 : {false, true})
    for (const bool odd : {false, true})
      for (const bool partial : {false, true}) {
        Bytes packet = syn(v6, mss_option(1460, odd)).bytes(partial);
        clamp_mss(packet, partial, 1400);
        EXPECT_EQ(packet, syn(v6, mss_option(v6 ? 1340 : 1360, odd)).bytes(partial)) << v6 << odd << partial;
      }
}

// RFC 7413: TCP Fast Open.
TEST(Mss, OfASynWithDataIsLoweredToo) {
  test::FlowPacket with_data = syn(false, mss_option(1460));
  with_data.payload = Bytes(101, 7);
  Bytes packet = with_data.bytes(false);
  clamp_mss(packet, false, 1400);
  with_data.tcp_options = mss_option(1360);
  EXPECT_EQ(packet, with_data.bytes(false));
}

TEST(Mss, ThatFitsIsLeftAlone) {
  for (const std::uint16_t value : std::to_array<std::uint16_t>({1, 536, 1360})) {
    Bytes packet = syn(false, mss_option(value)).bytes(false);
    const Bytes before = packet;
    clamp_mss(packet, false, 1400);
    EXPECT_EQ(packet, before);
  }
}

TEST(Mss, OfAnythingElseIsLeftAlone) {
  test::FlowPacket no_syn = syn(false, mss_option(1460));
  no_syn.flags = 0x10;
  test::FlowPacket udp{.tcp = false, .payload = mss_option(1460)};
  for (const Bytes& bytes : {no_syn.bytes(false), udp.bytes(false), syn(false, {}).bytes(false), Bytes(),
                             Bytes(40, 0x45), syn(false, {2, 3, 1, 1}).bytes(false),
                             syn(false, {3, 0, 2, 4}).bytes(false), syn(false, {3, 40, 2, 4}).bytes(false),
                             syn(false, {1, 1, 1, 2}).bytes(false), syn(false, {0, 2, 4, 5}).bytes(false)}) {
    Bytes packet = bytes;
    clamp_mss(packet, false, 1400);
    EXPECT_EQ(packet, bytes);
    clamp_mss(packet, true, 20);
    EXPECT_EQ(packet, bytes);
  }
}

}  // namespace
}  // namespace quipu::offload
