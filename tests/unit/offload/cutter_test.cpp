// SPDX-License-Identifier: Apache-2.0
#include "offload/cutter.h"

#include <gmock/gmock.h>

#include <random>

#include "offload/checksum.h"
#include "support/slow_segments.h"

namespace quipu::offload {
namespace {

using test::FlowPacket;
using Segmentation = PacketHints::Segmentation;

Bytes random_octets(std::size_t size, std::mt19937& random) {
  Bytes out(size);
  for (std::uint8_t& octet : out)
    octet = static_cast<std::uint8_t>(random());
  return out;
}

std::vector<Bytes> cut(ByteView packet, const PacketHints& hints) {
  const auto cutter = Cutter::create(packet, hints);
  EXPECT_TRUE(cutter);
  std::vector<Bytes> out;
  for (std::size_t i = 0; cutter && i < cutter->segments(); ++i) {
    out.emplace_back(cutter->size(i));
    cutter->write(i, out.back());
    EXPECT_TRUE(cutter->checksum_partial());
    out.back() = test::with_whole_checksum(std::move(out.back()));
  }
  return out;
}

TEST(Checksum, IsThatOfTheReference) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size < 70; ++size) {
    const Bytes octets = random_octets(size, random);
    EXPECT_EQ(add_words(octets) % 0xffff, test::slow_sum(octets) % 0xffff) << size;
  }
  EXPECT_EQ(add_words(Bytes(65'535, 0xff)), test::slow_sum(Bytes(65'535, 0xff)));
}

TEST(Checksum, IsCompletedFromTheSumOfThePseudoHeader) {
  std::mt19937 random(2);
  for (const bool v6 : {false, true})
    for (const bool tcp : {false, true}) {
      const FlowPacket packet{.v6 = v6, .tcp = tcp, .payload = random_octets(31, random)};
      Bytes bytes = packet.bytes(true);
      complete_checksum(MutableBytes(bytes).subspan(packet.ip_size()), tcp ? 16 : 6);
      EXPECT_EQ(bytes, packet.bytes(false));
    }
}

// RFC 768: zero says that there is no checksum.
TEST(Checksum, OfUdpIsNeverZero) {
  FlowPacket packet{.tcp = false, .payload = {0, 0}};
  const Bytes before = packet.bytes(false);
  packet.payload = {before[26], before[27]};  // what makes the sum come out as all ones
  Bytes bytes = packet.bytes(true);
  complete_checksum(MutableBytes(bytes).subspan(20), 6);
  EXPECT_EQ(bytes[26], 0xff);
  EXPECT_EQ(bytes[27], 0xff);
}

TEST(Cutter, LeavesAWholePacketAsItIs) {
  const Bytes octets = {0x45, 1, 2, 3};
  const auto cutter = Cutter::create(octets, {});
  ASSERT_TRUE(cutter);
  EXPECT_EQ(cutter->segments(), 1U);
  EXPECT_FALSE(cutter->checksum_partial());
  Bytes out(cutter->size(0));
  cutter->write(0, out);
  EXPECT_EQ(out, octets);
}

TEST(Cutter, LeavesAPartialChecksumToTheFarEnd) {
  const FlowPacket packet{.payload = Bytes(11, 7)};
  const Bytes bytes = packet.bytes(true);
  const auto cutter = Cutter::create(bytes, packet.hints(0));
  ASSERT_TRUE(cutter);
  EXPECT_TRUE(cutter->checksum_partial());
  Bytes out(cutter->size(0));
  cutter->write(0, out);
  EXPECT_EQ(out, bytes);
}

// SCTP, say, or TCP behind an IPv6 extension header.
TEST(Cutter, CompletesAChecksumThatTheFarEndWouldNotFind) {
  FlowPacket packet{.payload = Bytes(11, 7)};
  Bytes bytes = packet.bytes(true);
  bytes[9] = 33;
  const auto cutter = Cutter::create(bytes, packet.hints(0));
  ASSERT_TRUE(cutter);
  EXPECT_FALSE(cutter->checksum_partial());
  Bytes out(cutter->size(0));
  cutter->write(0, out);
  bytes[9] = 6;
  bytes = test::with_whole_checksum(std::move(bytes));
  bytes[9] = 33;
  EXPECT_EQ(out, bytes);
}

TEST(Cutter, CutsRunsAsTheReferenceDoes) {
  std::mt19937 random(3);
  for (const std::size_t size : {1UL, 99UL, 100UL, 101UL, 200UL, 1000UL, 1448UL * 44 + 1}) {
    for (int kind = 0; kind < 4; ++kind) {
      const FlowPacket run{.v6 = kind % 2 == 1,
                           .tcp = kind < 2,
                           .flow = 9,
                           .identification = 0xfffe,
                           .may_fragment = true,
                           .traffic_class = 0x2e,
                           .sequence = 0xffff'ff00,
                           .flags = 0xd9,  // CWR, ECE, ACK, PSH, FIN
                           .tcp_options = kind < 2 ? Bytes(12, 1) : Bytes(),
                           .payload = random_octets(size, random)};
      const std::uint16_t each = size < 2000 ? 100 : 1448;
      EXPECT_EQ(cut(run.bytes(true), run.hints(each)), test::slow_segments(run, each)) << size << ' ' << kind;
    }
  }
}

TEST(Cutter, RefusesRunsOfMoreSegmentsThanAnyHostMakes) {
  FlowPacket run;
  run.payload = Bytes(60'000, 1);
  EXPECT_TRUE(Cutter::create(run.bytes(true), run.hints(48)));
  EXPECT_EQ(Cutter::create(run.bytes(true), run.hints(40)).error(), Errc::malformed);
}

TEST(Cutter, RefusesWhatDoesNotFit) {
  const FlowPacket run{.payload = Bytes(300)};
  const Bytes bytes = run.bytes(true);
  const auto error = [&](auto change) {
    Bytes packet = bytes;
    PacketHints hints = run.hints(100);
    change(packet, hints);
    const auto cutter = Cutter::create(packet, hints);
    return cutter ? Errc::conflict : cutter.error();
  };
  EXPECT_EQ(error([](Bytes&, PacketHints&) {}), Errc::conflict) << "it is cut as it is";
  using Change = void (*)(Bytes&, PacketHints&);
  for (const Change change : std::initializer_list<Change>{
           [](Bytes&, PacketHints& hints) { hints.segment_size = 0; },
           [](Bytes&, PacketHints& hints) { hints.checksum_wanted = false; },
           [](Bytes&, PacketHints& hints) { hints.checksum_start = 24; },
           [](Bytes&, PacketHints& hints) { hints.checksum_offset = 6; },
           [](Bytes&, PacketHints& hints) { hints.segmentation = Segmentation::tcp6; },
           [](Bytes&, PacketHints& hints) { hints.segmentation = Segmentation::udp; },
           [](Bytes& packet, PacketHints&) { packet.clear(); },
           [](Bytes& packet, PacketHints&) { packet.resize(39); },
           [](Bytes& packet, PacketHints&) { packet.push_back(0); },
           [](Bytes& packet, PacketHints&) { packet[0] = 0x44; },
           [](Bytes& packet, PacketHints&) { packet[0] = 0x65; },
           [](Bytes& packet, PacketHints&) { packet[6] = 0x20; },
           [](Bytes& packet, PacketHints&) { packet[32] = 0x40; },
           [](Bytes& packet, PacketHints& hints) {
             hints = {.checksum_wanted = true, .checksum_start = 100, .checksum_offset = 239};
             packet.resize(340);
           },
       })
    EXPECT_EQ(error(change), Errc::malformed);
}

}  // namespace
}  // namespace quipu::offload
