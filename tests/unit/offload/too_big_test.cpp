// SPDX-License-Identifier: Apache-2.0
#include "offload/too_big.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/slow_segments.h"

namespace quipu::offload {
namespace {

constexpr std::size_t kMtu = 1300;

Bytes large(bool v6, std::size_t payload = 1400) {
  return test::FlowPacket{.v6 = v6, .payload = Bytes(payload, 7)}.bytes(false);
}

Bytes without_payload(const Bytes& packet, std::size_t size) {
  return Bytes(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
}

Bytes slice(const Bytes& from, std::size_t at, std::size_t size) {
  const auto begin = from.begin() + static_cast<std::ptrdiff_t>(at);
  return Bytes(begin, begin + static_cast<std::ptrdiff_t>(size));
}

TEST(TooBig, AnIpv4HostIsToldTheSize) {
  const Bytes packet = large(false);
  const auto answer = answer_too_big(packet, kMtu);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->size(), 576U);
  EXPECT_EQ(slice(*answer, 0, 10), (Bytes{0x45, 0, 576 >> 8, 576 & 0xff, 0, 0, 0x40, 0, 64, 1}));
  EXPECT_EQ(slice(*answer, 12, 4), slice(packet, 16, 4)) << "from whom the packet was for";
  EXPECT_EQ(slice(*answer, 16, 4), slice(packet, 12, 4));
  EXPECT_EQ(slice(*answer, 20, 2), (Bytes{3, 4}));
  EXPECT_EQ(slice(*answer, 24, 4), (Bytes{0, 0, kMtu >> 8, kMtu & 0xff}));
  EXPECT_EQ(slice(*answer, 28, 548), without_payload(packet, 548));
  EXPECT_EQ(test::slow_sum(ByteView(*answer).first(20)), 0xffff);
  EXPECT_EQ(test::slow_sum(ByteView(*answer).subspan(20)), 0xffff);
}

TEST(TooBig, AnIpv6HostIsToldTheSize) {
  const Bytes packet = large(true);
  const auto answer = answer_too_big(packet, kMtu);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->size(), 1280U);
  EXPECT_EQ(slice(*answer, 0, 8), (Bytes{0x60, 0, 0, 0, 1240 >> 8, 1240 & 0xff, 58, 64}));
  EXPECT_EQ(slice(*answer, 8, 16), slice(packet, 24, 16)) << "from whom the packet was for";
  EXPECT_EQ(slice(*answer, 24, 16), slice(packet, 8, 16));
  EXPECT_EQ(slice(*answer, 40, 2), (Bytes{2, 0}));
  EXPECT_EQ(slice(*answer, 44, 4), (Bytes{0, 0, kMtu >> 8, kMtu & 0xff}));
  EXPECT_EQ(slice(*answer, 48, 1232), without_payload(packet, 1232));
  Bytes summed = slice(*answer, 8, 32);
  summed.insert(summed.end(), {0, 0, 1240 >> 8, 1240 & 0xff, 0, 0, 0, 58});
  summed.insert(summed.end(), answer->begin() + 40, answer->end());
  EXPECT_EQ(test::slow_sum(summed), 0xffff);
}

TEST(TooBig, AnIpv6HostIsNeverToldLessThanEveryLinkCarries) {
  const auto answer = answer_too_big(large(true), 1198);
  ASSERT_TRUE(answer);
  EXPECT_EQ(slice(*answer, 44, 4), (Bytes{0, 0, 1280 >> 8, 1280 & 0xff}));
  EXPECT_FALSE(answer_too_big(large(true, 1280 - 60), 1198));
  EXPECT_TRUE(answer_too_big(large(true, 1281 - 60), 1198));
}

TEST(TooBig, OfWhatFitsNothingIsSaid) {
  const Bytes packet = large(false);
  EXPECT_FALSE(answer_too_big(packet, packet.size()));
  EXPECT_TRUE(answer_too_big(packet, packet.size() - 1));
  EXPECT_FALSE(answer_too_big({}, 0));
}

// Each a change of one octet that makes it something to be silent about.
TEST(TooBig, OfSomeIpv4PacketsNothingIsSaid) {
  const struct {
    const char* what;
    std::size_t at;
    std::uint8_t octet;
  } changes[] = {{"may be fragmented", 6, 0},        {"a later fragment", 7, 1},  {"to a multicast group", 16, 224},
                 {"to everybody", 16, 255},          {"from nobody", 12, 0},      {"from a loopback", 12, 127},
                 {"a header of no length", 0, 0x44}, {"another version", 0, 0x75}};

  for (const auto& change : changes) {
    Bytes packet = large(false);
    packet[change.at] = change.octet;
    EXPECT_FALSE(answer_too_big(packet, kMtu)) << change.what;
  }
}

TEST(TooBig, OfIcmpErrorsNothingIsSaid) {
  for (int type = 0; type < 256; ++type) {
    Bytes v4 = large(false);
    v4[9] = 1;
    v4[20] = static_cast<std::uint8_t>(type);
    const bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    EXPECT_EQ(answer_too_big(v4, kMtu).has_value(), !error4) << type;
    Bytes v6 = large(true);
    v6[6] = 58;
    v6[40] = static_cast<std::uint8_t>(type);
    EXPECT_EQ(answer_too_big(v6, kMtu).has_value(), type >= 128 && type != 137) << type;
  }
}

TEST(TooBig, OfSomeIpv6PacketsNothingIsSaid) {
  Bytes to_a_group = large(true);
  to_a_group[24] = 0xff;
  EXPECT_FALSE(answer_too_big(to_a_group, kMtu));
  Bytes from_nobody = large(true);
  std::fill_n(from_nobody.begin() + 8, 16, 0);
  EXPECT_FALSE(answer_too_big(from_nobody, kMtu));
  from_nobody[23] = 1;
  EXPECT_FALSE(answer_too_big(from_nobody, kMtu)) << "from a loopback";
  from_nobody[23] = 2;
  EXPECT_TRUE(answer_too_big(from_nobody, kMtu));
}

// Hop-by-hop options, destination options of 16 octets, and a fragment header before an echo request.
TEST(TooBig, ExtensionHeadersAreFollowed) {
  Bytes packet = large(true);
  packet[6] = 0;
  const Bytes headers = {60, 0, 0, 0, 0, 0, 0, 0,  //
                         44, 1, 0, 0, 0, 0, 0, 0,  //
                         0,  0, 0, 0, 0, 0, 0, 0,  //
                         58, 0, 0, 1, 0, 0, 0, 0, 128, 0, 0, 0};
  std::ranges::copy(headers, packet.begin() + 40);
  EXPECT_TRUE(answer_too_big(packet, kMtu)) << "the first fragment";
  packet[40 + 32] = 1;
  EXPECT_FALSE(answer_too_big(packet, kMtu)) << "of an error";
  packet[40 + 32] = 128;
  packet[40 + 27] = 9;
  EXPECT_FALSE(answer_too_big(packet, kMtu)) << "a later fragment";
  packet[40 + 27] = 1;
  packet[40 + 9] = 255;
  EXPECT_FALSE(answer_too_big(packet, kMtu)) << "options beyond the end";
}

}  // namespace
}  // namespace quipu::offload
