// SPDX-License-Identifier: Apache-2.0
#include "protocol/keypair.h"

#include <gtest/gtest.h>

#include "support/handshakes.h"

namespace quipu::protocol {
namespace {

struct Pair {
  Keypair initiator;
  Keypair responder;
};

// With every lane that there can be.
Pair make_pair(const KeyLimits& limits = {}) {
  auto done = test::run(test::Scenario());
  done->initiator.lanes = done->responder.lanes = kMaxLanes;
  return {Keypair(std::move(done->initiator), limits), Keypair(std::move(done->responder), limits)};
}

Bytes sealed(Keypair& from, Lane lane, FrameHeader header, ByteView payload) {
  Bytes out(payload.size() + kDataOverhead);
  const auto size = from.seal(lane, header, payload, out);
  EXPECT_EQ(size, out.size());
  return out;
}

Errc open_error(Keypair& to, Bytes datagram) {
  const auto opened = test::open(to, datagram);
  EXPECT_FALSE(opened);
  return opened ? Errc::conflict : opened.error();
}

TEST(Keypair, CarriesFramesBothWaysOnEveryLane) {
  Pair pair = make_pair();
  for (std::uint8_t lane = 0; lane < kMaxLanes; ++lane) {
    for (const bool forth : {true, false}) {
      Keypair& from = forth ? pair.initiator : pair.responder;
      Keypair& to = forth ? pair.responder : pair.initiator;
      Bytes datagram = sealed(from, Lane(lane), {FrameKind::ip}, as_bytes("a packet"));
      const auto opened = test::open(to, datagram);
      ASSERT_TRUE(opened) << to_string(opened.error());
      EXPECT_EQ(opened->header.kind, FrameKind::ip);
      EXPECT_EQ(as_text(opened->payload), "a packet");
      EXPECT_TRUE(opened->newest);
    }
  }
}

TEST(Keypair, KnowsNoLaneThatWasNotAgreed) {
  test::Scenario scenario;
  scenario.payload.lanes = 3;
  scenario.answer.lanes = 2;
  auto done = test::run(scenario);
  EXPECT_EQ(done->initiator.lanes, 2);
  EXPECT_EQ(done->responder.lanes, 2);
  auto all_lanes = test::copy_of(done->initiator);
  all_lanes.lanes = kMaxLanes;
  Keypair sender(std::move(all_lanes));
  Keypair initiator(std::move(done->initiator));
  KeyLimits limits;
  limits.failed_opens = 1;
  Keypair responder(std::move(done->responder), limits);
  Bytes last = sealed(initiator, Lane(1), {FrameKind::ip}, as_bytes("x"));
  EXPECT_TRUE(test::open(responder, last));
  Bytes out(100);
  EXPECT_EQ(initiator.seal(Lane(2), {FrameKind::ip}, {}, out).error(), Errc::out_of_range);
  // Not for want of the right key: nothing is derived, so that junk leaves no trace either.
  EXPECT_EQ(open_error(responder, sealed(sender, Lane(2), {FrameKind::ip}, as_bytes("x"))), Errc::not_found);
  Bytes junk = sealed(sender, Lane(5), {FrameKind::ip}, as_bytes("x"));
  junk.back() ^= 1;
  EXPECT_EQ(open_error(responder, junk), Errc::not_found);
  EXPECT_FALSE(responder.under_attack());
}

TEST(Keypair, EmptyFramesAreFrames) {
  Pair pair = make_pair();
  Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::keepalive}, {});
  EXPECT_EQ(datagram.size(), kDataOverhead);
  const auto opened = test::open(pair.responder, datagram);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->header.kind, FrameKind::keepalive);
  EXPECT_TRUE(opened->payload.empty());
}

TEST(Keypair, SealsWhatStandsInPlace) {
  Pair pair = make_pair();
  Bytes buffer(kDataHeaderSize + kFrameHeaderSize);
  const ByteView text = as_bytes("in place");
  buffer.insert(buffer.end(), text.begin(), text.end());
  buffer.resize(buffer.size() + 100);
  const auto size = pair.initiator.seal(Lane(0), {FrameKind::ip},
                                        ByteView(buffer).subspan(kDataHeaderSize + kFrameHeaderSize, 8), buffer);
  ASSERT_EQ(size, 8 + kDataOverhead);
  EXPECT_EQ(buffer, [&] {
    Bytes other(buffer.size());
    Pair again = make_pair();
    EXPECT_EQ(again.initiator.seal(Lane(0), {FrameKind::ip}, text, other), size);
    return other;
  }());
  const auto opened = test::open(pair.responder, MutableBytes(buffer).first(*size));
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(opened->payload), "in place");
}

TEST(Keypair, APartialChecksumIsToldOfIpPacketsAlone) {
  Pair pair = make_pair();
  for (const bool partial : {false, true}) {
    Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip, partial}, as_bytes("a packet"));
    const auto opened = test::open(pair.responder, datagram);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->header.checksum_partial, partial);
  }
  const Bytes control = sealed(pair.initiator, Lane(0), {FrameKind::control, true}, as_bytes("x"));
  EXPECT_EQ(open_error(pair.responder, control), Errc::unsupported);
}

TEST(Keypair, CountersStartAtZeroOnEachLane) {
  Pair pair = make_pair();
  for (const Lane lane : {Lane(0), Lane(3)})
    for (std::uint64_t n = 0; n < 3; ++n) {
      const Bytes datagram = sealed(pair.initiator, lane, {FrameKind::ip}, as_bytes("x"));
      const auto fields = parse_data(datagram);
      ASSERT_TRUE(fields);
      EXPECT_EQ(fields->counter, Counter(n));
      EXPECT_EQ(fields->lane, lane);
      EXPECT_EQ(fields->receiver, pair.responder.local());
    }
}

// The same plaintext and counter under each lane and direction gives other octets each time.
TEST(Keypair, LanesAndDirectionsHaveTheirOwnKeys) {
  Pair pair = make_pair();
  std::vector<Bytes> seen;
  for (std::uint8_t lane = 0; lane < kMaxLanes; ++lane)
    for (Keypair* from : {&pair.initiator, &pair.responder}) {
      const Bytes datagram = sealed(*from, Lane(lane), {FrameKind::ip}, Bytes(64));
      seen.emplace_back(datagram.begin() + kDataHeaderSize, datagram.end());
    }
  std::ranges::sort(seen);
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
}

TEST(Keypair, RefusesReplaysAndReordersFreely) {
  Pair pair = make_pair();
  Bytes first = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("1"));
  Bytes second = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("2"));
  const Bytes copy = second;
  ASSERT_TRUE(test::open(pair.responder, second)->newest);
  EXPECT_EQ(open_error(pair.responder, copy), Errc::already_used);
  const auto late = test::open(pair.responder, first);
  ASSERT_TRUE(late);
  EXPECT_FALSE(late->newest);
  EXPECT_EQ(open_error(pair.responder, copy), Errc::already_used);
}

// A forged packet must not move the window: the genuine one with that counter still opens.
TEST(Keypair, ForgeriesLeaveTheWindowAlone) {
  KeyLimits limits;
  limits.failed_opens = 2;
  Pair pair = make_pair(limits);
  Bytes genuine = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("genuine"));
  Bytes forged = genuine;
  forged.back() ^= 1U;
  EXPECT_EQ(open_error(pair.responder, forged), Errc::authentication);
  forged = genuine;
  forged[12] = 1;  // a counter far ahead
  EXPECT_EQ(open_error(pair.responder, forged), Errc::authentication);
  EXPECT_TRUE(pair.responder.under_attack()) << "both are counted";
  EXPECT_TRUE(test::open(pair.responder, genuine));
}

TEST(Keypair, EverySingleBitCounts) {
  Pair pair = make_pair();
  const Bytes genuine = sealed(pair.initiator, Lane(1), {FrameKind::ip}, as_bytes("every bit of this"));
  for (std::size_t bit = 0; bit < genuine.size() * 8; ++bit) {
    Bytes forged = genuine;
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    ASSERT_FALSE(test::open(pair.responder, forged)) << bit;
  }
  Bytes datagram = genuine;
  EXPECT_TRUE(test::open(pair.responder, datagram));
}

TEST(Keypair, FailedOpenLeavesNoPlaintext) {
  Pair pair = make_pair();
  Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip}, Bytes(100, 'p'));
  datagram.back() ^= 1U;
  ASSERT_FALSE(test::open(pair.responder, datagram));
  const auto frame = ByteView(datagram).subspan(kDataHeaderSize, 102);
  EXPECT_TRUE(std::ranges::all_of(frame, [](std::uint8_t octet) { return octet == 0; }));
}

TEST(Keypair, PacketsOfAnotherSessionAreNotFound) {
  Pair pair = make_pair();
  Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("x"));
  EXPECT_EQ(open_error(pair.initiator, datagram), Errc::not_found);
}

// A packet that comes back to its sender under the sender's own index does not open.
TEST(Keypair, ReflectionsDoNotOpen) {
  Pair pair = make_pair();
  Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("x"));
  ByteWriter(MutableBytes(datagram).subspan(4)).u32(pair.initiator.local().value());
  EXPECT_EQ(open_error(pair.initiator, datagram), Errc::authentication);
}

TEST(Keypair, RefusesWhatDoesNotFit) {
  Pair pair = make_pair();
  Bytes room(kDataOverhead + 3);
  EXPECT_EQ(pair.initiator.seal(Lane(0), {FrameKind::ip}, Bytes(4), room).error(), Errc::out_of_range);
  EXPECT_EQ(pair.initiator.seal(Lane(0), {FrameKind::ip}, {}, MutableBytes(room).first(33)).error(),
            Errc::out_of_range);
  EXPECT_EQ(pair.initiator.seal(Lane(16), {FrameKind::ip}, {}, room).error(), Errc::out_of_range);
  EXPECT_EQ(open_error(pair.responder, Bytes(33, 4)), Errc::malformed);
}

TEST(KeypairLimits, PacketsAskThenRefuse) {
  KeyLimits limits;
  limits.soft_packets = 4;
  limits.hard_packets = 6;
  Pair pair = make_pair(limits);
  for (int n = 1; n <= 6; ++n) {
    Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("x"));
    EXPECT_EQ(pair.initiator.wants_rekey(), n >= 4) << n;
    ASSERT_TRUE(test::open(pair.responder, datagram));
    EXPECT_EQ(pair.responder.wants_rekey(), n >= 4) << n;
  }
  Bytes room(100);
  EXPECT_EQ(pair.initiator.seal(Lane(0), {FrameKind::ip}, {}, room).error(), Errc::limit_reached);
  EXPECT_EQ(pair.initiator.seal(Lane(0), {FrameKind::ip}, {}, room).error(), Errc::limit_reached);
  // Each key has its own limits.
  EXPECT_TRUE(pair.initiator.seal(Lane(1), {FrameKind::ip}, {}, room));
  EXPECT_TRUE(pair.responder.seal(Lane(0), {FrameKind::ip}, {}, room));
}

TEST(KeypairLimits, OctetsAskThenRefuse) {
  KeyLimits limits;
  limits.soft_octets = 300;
  limits.hard_octets = 510;
  Pair pair = make_pair(limits);
  Bytes room(1000);
  const Bytes payload(200);  // 202 octets of frame
  ASSERT_TRUE(pair.initiator.seal(Lane(0), {FrameKind::ip}, payload, room));
  EXPECT_FALSE(pair.initiator.wants_rekey());
  ASSERT_TRUE(pair.initiator.seal(Lane(0), {FrameKind::ip}, payload, room));
  EXPECT_TRUE(pair.initiator.wants_rekey());
  EXPECT_EQ(pair.initiator.seal(Lane(0), {FrameKind::ip}, payload, room).error(), Errc::limit_reached);
  EXPECT_TRUE(pair.initiator.seal(Lane(0), {FrameKind::ip}, Bytes(104), room));
  EXPECT_EQ(pair.initiator.seal(Lane(0), {FrameKind::ip}, {}, room).error(), Errc::limit_reached);
}

TEST(KeypairLimits, ReceiverSeesLostPacketsByTheCounter) {
  KeyLimits limits;
  limits.soft_packets = 4;
  Pair pair = make_pair(limits);
  for (int n = 1; n <= 3; ++n)
    sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("lost"));
  Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("x"));
  ASSERT_TRUE(test::open(pair.responder, datagram));
  EXPECT_TRUE(pair.responder.wants_rekey());
}

TEST(KeypairLimits, CountersBeyondTheLimitAreNotTried) {
  KeyLimits limits;
  limits.hard_packets = 6;
  limits.failed_opens = 1;
  Pair pair = make_pair(limits);
  Bytes datagram = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("x"));
  datagram[15] = 6;
  EXPECT_EQ(open_error(pair.responder, datagram), Errc::limit_reached);
  EXPECT_FALSE(pair.responder.under_attack());
}

TEST(KeypairLimits, ManyFailedOpensRaiseTheAlarm) {
  KeyLimits limits;
  limits.failed_opens = 3;
  Pair pair = make_pair(limits);
  Bytes forged = sealed(pair.initiator, Lane(0), {FrameKind::ip}, as_bytes("x"));
  forged.back() ^= 1U;
  for (int n = 1; n <= 3; ++n) {
    EXPECT_FALSE(pair.responder.under_attack());
    Bytes datagram = forged;
    EXPECT_FALSE(test::open(pair.responder, datagram));
  }
  EXPECT_TRUE(pair.responder.under_attack());
}

TEST(KeypairLimits, AreThoseOfTheSpecification) {
  const KeyLimits limits;
  EXPECT_EQ(limits.soft_packets, 67108864U);
  EXPECT_EQ(limits.soft_octets, 68719476736U);
  EXPECT_EQ(limits.hard_packets, 268435456U);
  EXPECT_EQ(limits.hard_octets, 274877906944U);
  EXPECT_EQ(limits.failed_opens, 1048576U);
}

}  // namespace
}  // namespace quipu::protocol
