// SPDX-License-Identifier: Apache-2.0
// What a KME answers to the hop of a relayed block, whatever the peer does.
#include "crypto/hash.h"
#include "kms/relay/hop_seal.h"
#include "kms/relay/link_states.h"
#include "kms/relay/relay_source.h"
#include "kms/relay/shares.h"
#include "sim/kms/scripted_peer.h"

namespace quipu::kms::sim {
namespace {

// "b", with its source "a" as the last node before it. There is another neighbour, "c".
class RelayHops : public ScriptedLowerPeer {
 protected:
  void adjust(KmeConfig& config) override {
    config.peers[0].relay_target_octets = 4'096;
    config.peers[0].relay_paths = paths;
    config.relay.trusted_node = is_trusted;
  }

  void SetUp() override {
    ScriptedLowerPeer::SetUp();
    contact();
    answer_requests();  // there is room for link states
    take_lease(1, 256);
    acknowledge_opening();
  }

  // Of a block whose octets are all `filler`, but for the first slot: the key of the hops from here on.
  void take_lease(std::uint8_t filler, std::uint32_t octets) {
    const BlockId block = stocked_block(filler, peer_id() == "a" ? "link" : "link-" + peer_id(), octets);
    const wire::Lease theirs = lease(static_cast<std::uint8_t>(filler + 8), {{block, {0, octets}}}, instance);
    ASSERT_TRUE(ask<wire::Ack>(theirs));
    m_lease = theirs.id;
    m_filler = filler;
    m_open = last<wire::Open>()->number;
  }

  void acknowledge_opening() { say(wire::Ack{m_open}); }

  // Of `slots` slots, under key from `first` on.
  wire::RelayHop hop(std::uint8_t relay, std::uint16_t first, std::vector<KmeId> path = {}) const {
    wire::RelayHop out;
    out.relay = BlockId(uuid(relay));
    out.source = KmeId("a");
    out.destination = path.empty() ? KmeId("b") : path.back();
    out.path = std::move(path);
    out.pad = {{m_lease, first, 3}};
    seal_hop(out, Bytes(64, relay), Bytes(96, m_filler));
    return out;
  }

  // The n-th of many.
  wire::RelayHop nth(std::uint8_t n, std::vector<KmeId> path = {}) const {
    return hop(static_cast<std::uint8_t>(50 + n), static_cast<std::uint16_t>(1 + 3 * n), std::move(path));
  }

  bool is_trusted = false;
  std::uint32_t paths = 1;
  LeaseId m_lease;
  std::uint8_t m_filler = 0;
  wire::RequestNumber m_open;
};

TEST_F(RelayHops, OneThatFitsIsHeldThenOfferedForVoiding) {
  ASSERT_TRUE(ask<wire::Ack>(hop(50, 1)));
  const auto* offer = last<wire::VoidRequest>();
  ASSERT_NE(offer, nullptr);
  EXPECT_EQ(offer->blocks.at(0).id, BlockId(uuid(50)));
  EXPECT_EQ(offer->blocks.at(0).digest, crypto::blake2b_256({Bytes(64, 50)}));
  EXPECT_EQ(pool().books.held, 64U);
}

TEST_F(RelayHops, ARepeatedOneGetsTheSameReceiptAndIsNotOpenedAgain) {
  ASSERT_TRUE(ask<wire::Ack>(hop(50, 1)));
  ASSERT_TRUE(ask<wire::Ack>(hop(50, 1)));
  EXPECT_EQ(last<wire::VoidRequest>(), nullptr);
  EXPECT_EQ(pool().books.held, 64U);
  EXPECT_EQ(ask<wire::Refused>(hop(50, 4))->reason, wire::RefusalReason::duplicate);
}

TEST_F(RelayHops, AnAlteredOneIsRefusedWithItsKeyBurnt) {
  wire::RelayHop altered = hop(50, 1);
  altered.ciphertext[3] ^= 1;
  EXPECT_EQ(ask<wire::Refused>(altered)->reason, wire::RefusalReason::forged);
  EXPECT_EQ(std::ranges::count(reports, "relay_forged"), 1);
  EXPECT_EQ(ask<wire::Refused>(hop(51, 1))->reason, wire::RefusalReason::no_pad);
  EXPECT_EQ(pool().books.held, 0U);
  EXPECT_EQ(kme->relay_status().forged, 1U);
}

TEST_F(RelayHops, TheTagCoversWhereItGoes) {
  wire::RelayHop altered = hop(50, 1);
  altered.simulated = true;
  EXPECT_EQ(ask<wire::Refused>(altered)->reason, wire::RefusalReason::forged);
  altered = hop(51, 4);
  altered.relay = BlockId(uuid(52));
  EXPECT_EQ(ask<wire::Refused>(altered)->reason, wire::RefusalReason::forged);
}

// Also what no answer could show, for such a hop is refused before its tag is looked at.
TEST(HopSeal, TheTagCoversEveryFieldButTheNumber) {
  using Change = void (*)(wire::RelayHop&);
  const std::map<std::string, Change> changes{
      {"relay", [](wire::RelayHop& hop) { hop.relay = BlockId(uuid(2)); }},
      {"share", [](wire::RelayHop& hop) { hop.share = 1; }},
      {"shares", [](wire::RelayHop& hop) { hop.shares = 2; }},
      {"source", [](wire::RelayHop& hop) { hop.source = KmeId("x"); }},
      {"destination", [](wire::RelayHop& hop) { hop.destination = KmeId("x"); }},
      {"another path", [](wire::RelayHop& hop) { hop.path.front() = KmeId("x"); }},
      {"a shorter path", [](wire::RelayHop& hop) { hop.path.erase(hop.path.begin()); }},
      {"simulated", [](wire::RelayHop& hop) { hop.simulated = true; }},
      {"lease of the pad", [](wire::RelayHop& hop) { hop.pad[1].lease = LeaseId(uuid(9)); }},
      {"slot of the pad", [](wire::RelayHop& hop) { ++hop.pad[1].slot; }},
      {"parts of the pad", [](wire::RelayHop& hop) { ++hop.pad[0].slots, --hop.pad[1].slots; }},
      {"ciphertext", [](wire::RelayHop& hop) { hop.ciphertext[40] ^= 1; }},
      {"tag", [](wire::RelayHop& hop) { hop.tag[0] ^= 1; }},
  };
  const Bytes block(64, 1);
  const Bytes pad(96, 2);
  wire::RelayHop hop;
  hop.relay = BlockId(uuid(1));
  hop.share = 2;
  hop.shares = 3;
  hop.source = KmeId("a");
  hop.destination = KmeId("d");
  hop.path = {KmeId("c"), KmeId("d")};
  hop.pad = {{LeaseId(uuid(7)), 3, 1}, {LeaseId(uuid(8)), 0, 2}};
  seal_hop(hop, block, pad);
  hop.number = wire::RequestNumber(5);
  EXPECT_FALSE(open_hop(hop, pad).empty());
  for (const auto& [what, change] : changes) {
    wire::RelayHop altered = hop;
    change(altered);
    EXPECT_TRUE(open_hop(altered, pad).empty()) << what;
  }
}

TEST_F(RelayHops, KeyThatAnSaeHasIsNoPad) {
  say(wire::Binding{wire::BindingNumber(1), m_lease, 1, 1, 256, SaeId("sae-a"), {SaeId("sae-b")}});
  EXPECT_EQ(ask<wire::Refused>(hop(50, 0))->reason, wire::RefusalReason::no_pad);
  EXPECT_EQ(ask<wire::Refused>(hop(51, 6))->reason, wire::RefusalReason::no_pad);  // past the lease
}

// A neighbour that does not answer Open, and goes on sending hops.
TEST_F(RelayHops, NoMoreThanSoManyWaitForTheirPads) {
  constexpr std::uint8_t kMax = 64;
  take_lease(2, 8'192);
  said.clear();
  const auto send = [&](std::uint8_t n) {
    wire::RelayHop out = nth(n);
    out.number = wire::RequestNumber(++last_number);
    say(out);
  };
  for (std::uint8_t n = 0; n < kMax; ++n)
    send(n);
  EXPECT_EQ(last<wire::Refused>(), nullptr);
  send(kMax);
  ASSERT_NE(last<wire::Refused>(), nullptr);
  EXPECT_EQ(last<wire::Refused>()->reason, wire::RefusalReason::full);
  said.clear();
  acknowledge_opening();
  EXPECT_EQ(std::ranges::count_if(said, [](const auto& m) { return std::holds_alternative<wire::Ack>(m); }), kMax);
  EXPECT_TRUE(ask<wire::Ack>(nth(kMax + 1)));
}

TEST_F(RelayHops, WhoIsNoTrustedNodeRelaysNothing) {
  EXPECT_EQ(ask<wire::Refused>(hop(50, 1, {KmeId("c")}))->reason, wire::RefusalReason::not_trusted);
}

TEST_F(RelayHops, OnlyTheConfiguredSourceIsTaken) {
  wire::RelayHop other = hop(50, 1);
  other.source = KmeId("c");
  EXPECT_EQ(ask<wire::Refused>(other)->reason, wire::RefusalReason::not_trusted);
}

// Dropping the connection ends nothing twice: the block is offered again, and voided by the answer.
TEST_F(RelayHops, WhatTheSourceHasGivenUpIsVoid) {
  ASSERT_TRUE(ask<wire::Ack>(hop(50, 1)));
  const auto* offer = last<wire::VoidRequest>();
  ASSERT_NE(offer, nullptr);
  say(wire::BlockStates{offer->number, {BlockState::voided}});
  EXPECT_EQ(pool().books.held, 0U);
  EXPECT_EQ(pool().books.voided, 64U);
}

// A node that has one share could pass it for all there is, or for more than there shall be.
TEST_F(RelayHops, OnlyAsManySharesAreTakenAsThePoolIsConfiguredFor) {
  wire::RelayHop other = hop(50, 1);
  other.shares = 2;
  EXPECT_EQ(ask<wire::Refused>(other)->reason, wire::RefusalReason::paths);
}

class RelayOverTwoPaths : public RelayHops {
 protected:
  RelayOverTwoPaths() { paths = 2; }

  wire::RelayHop share(std::uint8_t relay, std::uint16_t first, std::uint8_t number, std::uint16_t slots = 2) const {
    wire::RelayHop out = hop(relay, first);
    out.share = number;
    out.shares = 2;
    out.pad = {{m_lease, first, static_cast<std::uint16_t>(slots + 1)}};
    const std::size_t octets = std::size_t{slots} * kSlotSize;
    seal_hop(out, Bytes(octets, number), Bytes(octets + kSlotSize, m_filler));
    return out;
  }
};

TEST_F(RelayOverTwoPaths, AWholeBlockOverOnePathIsRefused) {
  EXPECT_EQ(ask<wire::Refused>(hop(50, 1))->reason, wire::RefusalReason::paths);
  EXPECT_EQ(last<wire::VoidRequest>(), nullptr);
  EXPECT_EQ(pool().books.held, 0U);
}

TEST_F(RelayOverTwoPaths, ASecondShareOverTheSameNeighbourIsRefused) {
  ASSERT_TRUE(ask<wire::Ack>(share(50, 1, 1)));
  ASSERT_TRUE(ask<wire::Ack>(share(50, 1, 1))) << "it was repeated only";
  EXPECT_EQ(ask<wire::Refused>(share(50, 4, 2))->reason, wire::RefusalReason::paths);
  EXPECT_EQ(pool().books.held, 0U);
}

TEST_F(RelayOverTwoPaths, ASecondShareOfAnotherLengthIsRefused) {
  ASSERT_TRUE(ask<wire::Ack>(share(50, 1, 1)));
  ASSERT_TRUE(ask<wire::Ack>(share(51, 4, 1)));
  speak_as("c");
  take_lease(2, 256);
  acknowledge_opening();
  EXPECT_EQ(ask<wire::Refused>(share(50, 1, 2, 1))->reason, wire::RefusalReason::not_taken);
  EXPECT_TRUE(ask<wire::Ack>(share(51, 4, 2)));
  speak_as("a");
  EXPECT_EQ(pool().books.held, 64U);
}

// A source whose shares fail on one of its paths fills no more memory than is set aside for it.
TEST_F(RelayOverTwoPaths, NoMoreThanSoManyBlocksLackAShare) {
  constexpr std::uint8_t kMax = 32;
  take_lease(3, 8'192);
  acknowledge_opening();
  for (std::uint8_t n = 0; n < kMax; ++n)
    ASSERT_TRUE(ask<wire::Ack>(share(static_cast<std::uint8_t>(50 + n), static_cast<std::uint16_t>(1 + 3 * n), 1)));
  EXPECT_EQ(ask<wire::Refused>(share(50 + kMax, 1 + 3 * kMax, 1))->reason, wire::RefusalReason::full);
  speak_as("c");
  take_lease(2, 256);
  acknowledge_opening();
  EXPECT_TRUE(ask<wire::Ack>(share(50, 1, 2))) << "with it a block is whole";
  speak_as("a");
  take_lease(4, 256);
  acknowledge_opening();
  EXPECT_TRUE(ask<wire::Ack>(share(51 + kMax, 1, 1)));
}

// The sum of those that came is in memory no longer than a trusted node may have a block.
TEST_F(RelayOverTwoPaths, AShareThatStaysAloneIsErased) {
  ASSERT_TRUE(ask<wire::Ack>(share(50, 1, 1)));
  EXPECT_EQ(last<wire::VoidRequest>(), nullptr);
  const TimePoint end = now + kCarryTime;
  ASSERT_LE(kme->next_deadline(), end);
  now = end;
  take(kme->handle_timeout(now));
  EXPECT_EQ(std::ranges::count(reports, "relay_incomplete"), 1);
}

class TrustedNodeFedByRelay : public RelayHops {
 protected:
  TrustedNodeFedByRelay() { is_trusted = true; }
};

// Whoever is on the way of relayed key would know what is sealed with it.
TEST_F(TrustedNodeFedByRelay, SealsNothingWithKeyThatMayBeRelayed) {
  speak_as("c");
  take_lease(2, 256);
  acknowledge_opening();
  EXPECT_EQ(ask<wire::Refused>(hop(50, 1, {KmeId("a")}))->reason, wire::RefusalReason::no_link);
}

// Between "a", "c" and "d": none of these pools is fed by relay.
class TrustedNode : public RelayHops {
 protected:
  TrustedNode() { is_trusted = true; }

  void adjust(KmeConfig& config) override {
    RelayHops::adjust(config);
    config.peers[0].relay_target_octets = 0;
    config.peers[0].relay_paths = 1;
    config.peers.push_back({KmeId("d"), {}});
    config.sources.push_back({"link-d", KmeId("d")});
  }
};

TEST_F(TrustedNode, SaysWhereItCannotGoOn) {
  EXPECT_EQ(ask<wire::Refused>(hop(50, 1, {KmeId("c")}))->reason, wire::RefusalReason::no_link);
  EXPECT_EQ(ask<wire::Refused>(hop(51, 4, {KmeId("x")}))->reason, wire::RefusalReason::no_link);
}

// There is no key of the next link, so each is on hand for a while. One neighbour has half of the room.
TEST_F(TrustedNode, HasNoMoreThanSoManyOnHand) {
  constexpr std::uint8_t kMaxOfOne = 32;
  const std::vector<KmeId> to_c{KmeId("c")};
  const auto fill = [&](const std::string& neighbour, std::uint8_t first) {
    speak_as(neighbour);
    take_lease(first, 8'192);
    acknowledge_opening();
    for (std::uint8_t n = first; n < first + kMaxOfOne; ++n)
      ASSERT_TRUE(ask<wire::Ack>(nth(n, to_c)));
  };
  const auto is_refused = [&](std::uint8_t n, const std::vector<KmeId>& path) {
    const auto refused = ask<wire::Refused>(nth(n, path));
    return refused && refused->reason == wire::RefusalReason::full;
  };
  speak_as("c");
  take_lease(2, 8'192);
  acknowledge_opening();
  fill("d", 3);
  EXPECT_TRUE(is_refused(3 + kMaxOfOne, to_c));
  fill("a", 4 + kMaxOfOne);
  EXPECT_TRUE(is_refused(4 + 2 * kMaxOfOne, to_c));
  now += kHopTime;
  take(kme->handle_timeout(now));
  EXPECT_TRUE(ask<wire::Ack>(nth(5 + 2 * kMaxOfOne, to_c)));
}

TEST_F(TrustedNode, SeesOneShareOfABlockOnly) {
  for (const std::uint8_t number : {std::uint8_t{1}, std::uint8_t{4}}) {
    wire::RelayHop one = hop(50, number, {KmeId("x")});
    one.share = number;
    one.shares = 4;
    EXPECT_EQ(ask<wire::Refused>(one)->reason, number == 1 ? wire::RefusalReason::no_link : wire::RefusalReason::paths);
  }
}

// Ours as an earlier run published it: what we say now has to win.
TEST_F(TrustedNode, GoesBeyondAnOldStateOfItsOwn) {
  say(wire::LinkState{KmeId("b"), 40, 0, true, {}});
  now += kStateInterval;
  take(kme->handle_timeout(now));
  const auto* published = last<wire::LinkState>();
  ASSERT_NE(published, nullptr);
  EXPECT_EQ(published->sequence, 41U);
}

// No more states go out than the peer takes: the answer to the Ping behind the first ones is awaited.
TEST_F(TrustedNode, AnswersAnOldStateWithTheNewerOneWhenThereIsRoom) {
  said.clear();
  say(wire::LinkState{KmeId("y"), 7, 0, true, {}});
  say(wire::LinkState{KmeId("z"), 7, 0, true, {}});
  say(wire::LinkState{KmeId("y"), 6, 0, true, {}});
  EXPECT_NE(last<wire::LinkState>(), nullptr);
  auto first = std::exchange(said, {});
  say(wire::LinkState{KmeId("z"), 6, 0, true, {}});
  EXPECT_EQ(last<wire::LinkState>(), nullptr);
  said = std::move(first);
  answer_requests();
  const auto* newer = last<wire::LinkState>();
  ASSERT_NE(newer, nullptr);
  EXPECT_EQ(newer->sequence, 7U);
}

}  // namespace
}  // namespace quipu::kms::sim
