// SPDX-License-Identifier: Apache-2.0
#include "protocol/side_lane.h"

#include <gtest/gtest.h>

#include "protocol/control_frame.h"
#include "protocol/timing.h"
#include "support/handshakes.h"

namespace quipu::protocol {
namespace {

constexpr TimePoint kNow{1000s};
constexpr std::size_t kLimit = 1400;
constexpr PeerId kPeer{7};
const Lane kNumber{2};

Bytes packet(std::uint8_t from, std::uint8_t to, std::size_t size = 60) {
  Bytes out(size);
  out[0] = 0x45;
  out[2] = static_cast<std::uint8_t>(size >> 8);
  out[3] = static_cast<std::uint8_t>(size);
  out[6] = 0x40;  // DF
  out[12] = out[16] = 10;
  out[13] = from;
  out[17] = to;
  return out;
}

// Lane 2 of two sites, 10.0.0.0/16 and 10.1.0.0/16, whose Devices have a session.
struct End {
  End(std::uint8_t number, SessionSecrets secrets, const Endpoint& far) : site(number) {
    secrets.lanes = 3;
    view.id = kPeer;
    view.endpoint = far;
    view.packet_limit = kLimit;
    view.keys[0] = {std::make_shared<Keypair>(std::move(secrets)), kNow + 100s};
    view.tallies = std::make_shared<LaneTallies>(2U);
    AllowedIps routes;
    EXPECT_TRUE(routes.insert(*IpPrefix::parse(site == 0 ? "10.1.0.0/16" : "10.0.0.0/16"), kPeer));
    lane.apply(std::make_shared<const AllowedIps>(routes));
    lane.apply(view);
  }

  LaneTally& tally() const { return (*view.tallies)[1]; }

  std::uint64_t drops(DropReason reason) const { return tally().drops[static_cast<std::size_t>(reason)]; }

  SideLane::Events turn() {
    SideLane::Events events;
    lane.advance(now, events);
    return events;
  }

  Outcome<Bytes> seal(const Bytes& inner) {
    QUIPU_TRY_ASSIGN(const Route route, lane.route(inner, now));
    Bytes out(inner.size() + kMaxOverhead);
    QUIPU_TRY_ASSIGN(const Sealed sealed, lane.seal(route, {inner}, out, now));
    to = sealed.to;
    may_fragment = sealed.may_fragment;
    out.resize(sealed.size);
    return out;
  }

  Bytes sealed(std::size_t size = 60) {
    auto out = seal(packet(site, 1 - site, size));
    EXPECT_TRUE(out);
    return out.value_or(Bytes());
  }

  Errc open_error(Bytes datagram) {
    const auto opened = lane.open(datagram, from, now);
    EXPECT_FALSE(opened);
    return opened ? Errc::conflict : opened.error();
  }

  std::uint8_t site;
  PeerView view;
  SideLane lane{kNumber};
  TimePoint now = kNow;
  bool may_fragment = false;
  Endpoint to;                                          // of what was sealed last
  Endpoint from = *Endpoint::parse("192.0.2.1:51902");  // of what is opened
};

struct SideLaneTest : testing::Test {
  SideLaneTest() : SideLaneTest(*test::run(test::Scenario())) {}

  explicit SideLaneTest(test::Finished finished)
      : a(0, std::move(finished.initiator), *Endpoint::parse("192.0.2.2:51900")),
        b(1, std::move(finished.responder), *Endpoint::parse("192.0.2.1:51900")) {}

  // A's probe and B's answer.
  void bring_up() {
    EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable);
    SideLane::Events probe = a.turn();
    ASSERT_EQ(probe.send.size(), 1U);
    EXPECT_EQ(probe.send[0].to, *Endpoint::parse("192.0.2.2:51902"));
    EXPECT_EQ(probe.send[0].bytes.size(), kLimit + kMaxOverhead) << "as large as packets may be";
    ASSERT_TRUE(b.lane.open(probe.send[0].bytes, b.from, b.now));
    SideLane::Events answer = b.turn();
    ASSERT_EQ(answer.send.size(), 1U);
    ASSERT_TRUE(a.lane.open(answer.send[0].bytes, to_a, a.now));
    a.turn();
  }

  const Endpoint to_a = *Endpoint::parse("192.0.2.2:51902");
  End a;
  End b;
};

TEST_F(SideLaneTest, CarriesOnceItsPathIsKnownToCarry) {
  bring_up();
  EXPECT_TRUE(a.tally().carries);
  Bytes datagram = a.sealed();
  EXPECT_EQ(a.to, to_a);
  EXPECT_EQ(datagram[2], kNumber.value());
  const auto opened = b.lane.open(datagram, b.from, b.now);
  ASSERT_TRUE(opened);
  EXPECT_EQ(Bytes(opened->packet.begin(), opened->packet.end()), packet(0, 1));
  EXPECT_EQ(opened->limit, kLimit);
  EXPECT_EQ(a.tally().tx_packets, 1U);
  EXPECT_EQ(b.tally().rx_bytes, 60U);
  b.lane.discard(*opened, DropReason::congestion);
  EXPECT_EQ(b.tally().rx_packets + b.tally().rx_bytes, 0U);
  EXPECT_EQ(b.drops(DropReason::congestion), 1U);
}

TEST_F(SideLaneTest, TellsOnceThatItWasUsedUntilSomebodyHasLooked) {
  bring_up();
  EXPECT_TRUE(a.tally().told);
  a.sealed();
  EXPECT_TRUE(a.turn().used.empty());
  a.tally().told = false;
  EXPECT_TRUE(a.turn().used.empty()) << "nothing has happened since";
  a.sealed();
  const SideLane::Events events = a.turn();
  ASSERT_EQ(events.used.size(), 1U);
  EXPECT_EQ(events.used[0].peer, kPeer);
  EXPECT_EQ(a.tally().sent.load(), kNow);
}

TEST_F(SideLaneTest, LeavesWhatItHasNoWayForToTheDevice) {
  bring_up();
  EXPECT_EQ(a.seal(packet(0, 9)).error(), Errc::not_found);
  EXPECT_EQ(a.seal(Bytes(3)).error(), Errc::malformed);
  a.view.keys[0] = {};
  a.lane.apply(a.view);
  EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable) << "no session";
  EXPECT_FALSE(a.tally().carries);
}

TEST_F(SideLaneTest, DropsWhatItCannotOpen) {
  bring_up();
  Bytes datagram = a.sealed();
  Bytes forged = datagram;
  forged.back() ^= 1;
  b.turn();
  b.tally().told = false;
  EXPECT_EQ(b.open_error(forged), Errc::authentication);
  EXPECT_TRUE(b.turn().used.empty()) << "a forger costs nothing but the check";
  Bytes other_lane = datagram;
  other_lane[2] = 1;
  EXPECT_EQ(b.open_error(other_lane), Errc::not_found);
  Bytes other_index = datagram;
  other_index[4] ^= 1;
  EXPECT_EQ(b.open_error(other_index), Errc::not_found);
  EXPECT_EQ(b.open_error(Bytes(5)), Errc::malformed);
  EXPECT_TRUE(b.lane.open(datagram, b.from, b.now));
  EXPECT_EQ(b.drops(DropReason::failed_open), 1U);
  EXPECT_EQ(b.lane.drops().unknown_index, 1U);
  EXPECT_EQ(b.lane.drops().malformed, 1U);
}

TEST_F(SideLaneTest, DropsWhatThePeerMayNotSend) {
  bring_up();
  AllowedIps routes;
  ASSERT_TRUE(routes.insert(*IpPrefix::parse("10.8.0.0/16"), kPeer));
  Bytes datagram = a.sealed();
  b.lane.apply(std::make_shared<const AllowedIps>(routes));
  EXPECT_EQ(b.open_error(datagram), Errc::not_permitted);
  EXPECT_EQ(b.drops(DropReason::source_not_allowed), 1U);
}

TEST_F(SideLaneTest, SealsNothingThatIsTooLarge) {
  bring_up();
  EXPECT_EQ(a.seal(packet(0, 1, kLimit + 1)).error(), Errc::too_large);
  EXPECT_EQ(a.drops(DropReason::too_big), 1U);
  EXPECT_EQ(a.sealed(kLimit).size(), kLimit + kMaxOverhead);
  Bytes fragile = packet(0, 1, kLimit + 1);
  fragile[6] = 0;
  EXPECT_EQ(a.seal(fragile)->size(), kLimit + 1 + kMaxOverhead) << "a router would fragment it";
  EXPECT_TRUE(a.may_fragment);
}

TEST_F(SideLaneTest, KeysDieOnTimeWhateverTheDeviceIsDoing) {
  bring_up();
  const Bytes datagram = a.sealed();
  a.now = b.now = kNow + 100s;
  EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable) << "the Device may have others by then";
  EXPECT_EQ(b.open_error(datagram), Errc::expired);
}

TEST_F(SideLaneTest, AnswersNoProbeUnderADeadKey) {
  b.view.keys[1] = b.view.keys[0];
  b.view.keys[0].dies = kNow;
  b.lane.apply(b.view);
  EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable);
  Bytes probe = a.turn().send.at(0).bytes;
  ASSERT_TRUE(b.lane.open(probe, b.from, b.now));
  EXPECT_TRUE(b.turn().send.empty());
}

TEST_F(SideLaneTest, HoldsNoKeyThatTheDeviceHasErased) {
  const std::weak_ptr<Keypair> keypair = a.view.keys[0].keypair;
  a.view.keys[0] = {};
  EXPECT_FALSE(keypair.expired());
  a.lane.apply(a.view);
  EXPECT_TRUE(keypair.expired());
  const std::weak_ptr<Keypair> other = b.view.keys[0].keypair;
  b.view = {};
  b.lane.apply(PeerGone{kPeer});
  EXPECT_TRUE(other.expired());
}

TEST_F(SideLaneTest, SendsToWhereThePeersLaneIs) {
  bring_up();
  const Endpoint mapped = *Endpoint::parse("203.0.113.5:40000");
  Bytes datagram = a.sealed();
  b.turn();
  b.tally().told = false;
  ASSERT_TRUE(b.lane.open(datagram, mapped, b.now));
  const SideLane::Events events = b.turn();
  ASSERT_EQ(events.used.size(), 1U);
  EXPECT_EQ(events.used[0].from, mapped) << "another address than the Device's";
  ASSERT_EQ(b.seal(packet(1, 0)).error(), Errc::unavailable) << "probed anew";
  EXPECT_EQ(b.turn().send.at(0).to, mapped);
  b.view.endpoint = *Endpoint::parse("203.0.113.5:51900");
  b.lane.apply(b.view);
  b.now += kLaneProbeWait;
  EXPECT_EQ(b.turn().send.at(0).to, mapped) << "the lane's own port stays";
}

// A probe is larger than the packets that make it wanted.
TEST_F(SideLaneTest, DoesNotProbeEachPlaceThatItIsLedTo) {
  bring_up();
  std::size_t probes = 0;
  for (int i = 0; i < 100; ++i) {
    Bytes datagram = a.sealed();
    ASSERT_TRUE(b.lane.open(datagram, *Endpoint::parse(i % 2 == 0 ? "192.0.2.7:1" : "192.0.2.8:1"), b.now));
    static_cast<void>(b.seal(packet(1, 0)).has_value());
    probes += b.turn().send.size();
  }
  EXPECT_EQ(probes, static_cast<std::size_t>(kPathBeginBurst));
}

TEST_F(SideLaneTest, IsNotLedIntoAProtectedPrefix) {
  bring_up();
  Bytes datagram = a.sealed();
  b.turn();
  ASSERT_TRUE(b.lane.open(datagram, *Endpoint::parse("10.0.0.9:51902"), b.now));
  for (const SideLane::Used& used : b.turn().used)
    EXPECT_FALSE(used.from);
  ASSERT_EQ(b.seal(packet(1, 0)).error(), Errc::unavailable);
  EXPECT_EQ(b.turn().send.at(0).to, b.from);
}

TEST_F(SideLaneTest, LeavesAPlaceThatBecameProtected) {
  bring_up();
  const Endpoint there = *Endpoint::parse("203.0.113.5:51902");
  Bytes datagram = a.sealed();
  ASSERT_TRUE(b.lane.open(datagram, there, b.now));
  AllowedIps routes;
  ASSERT_TRUE(routes.insert(*IpPrefix::parse("10.0.0.0/16"), kPeer));
  ASSERT_TRUE(routes.insert(*IpPrefix::parse("203.0.113.0/24"), kPeer));
  b.lane.apply(std::make_shared<const AllowedIps>(routes));
  ASSERT_EQ(b.seal(packet(1, 0)).error(), Errc::unavailable);
  EXPECT_EQ(b.turn().send.at(0).to, b.from);
}

TEST_F(SideLaneTest, IsProbedAnewWhereSomethingChanges) {
  bring_up();
  a.view.packet_limit = 1300;
  a.lane.apply(a.view);
  EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable);
  EXPECT_EQ(a.turn().send.at(0).bytes.size(), 1300 + kMaxOverhead);
  a.view.endpoint->address = *IpAddress::parse("198.51.100.1");
  a.lane.apply(a.view);
  EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable);
  EXPECT_EQ(a.turn().send.at(0).to, *Endpoint::parse("198.51.100.1:51902"));
}

TEST_F(SideLaneTest, APortBeyondTheLastIsNoLane) {
  a.view.endpoint = *Endpoint::parse("198.51.100.1:65534");
  a.lane.apply(a.view);
  EXPECT_EQ(a.seal(packet(0, 1)).error(), Errc::unavailable);
  EXPECT_TRUE(a.turn().send.empty());
}

TEST_F(SideLaneTest, AnswersSoManyProbesOnly) {
  std::size_t answers = 0;
  for (int i = 0; i < 100; ++i) {
    Bytes datagram(100);
    const auto probe = write_control_frame(MtuProbe{1, 60});
    datagram.resize(*a.view.keys[0].keypair->seal(kNumber, {FrameKind::control}, probe, datagram));
    ASSERT_TRUE(b.lane.open(datagram, b.from, b.now));
    answers += b.turn().send.size();
  }
  EXPECT_EQ(answers, static_cast<std::size_t>(kPathAnswerBurst));
}

}  // namespace
}  // namespace quipu::protocol
