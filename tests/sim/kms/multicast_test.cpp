// SPDX-License-Identifier: Apache-2.0
// Keys for slaves at several KMEs: sites "a", "b", "c", "d", each pair with a pool.
#include <gtest/gtest.h>

#include <algorithm>

#include "kms/link_message.h"
#include "kms/multicast.h"
#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

class MulticastTest : public testing::Test {
 protected:
  MulticastTest() {
    for (std::size_t i = 0; i < world.nodes(); ++i)
      world.start(i);
    for (std::size_t i = 0; i < world.nodes(); ++i)
      for (std::size_t j = i + 1; j < world.nodes(); ++j)
        world.connect(i, j);
    world.settle();
    world.meddle(
        [this](std::size_t from, std::size_t to, SecretBytes message) { return carry(from, to, std::move(message)); });
  }

  void stock(std::uint32_t octets = 4'096) {
    for (const std::size_t other : {kB, kC, kD})
      world.make_block(kA, other, octets);
    world.settle();
  }

  // From a, to sae-b and these.
  std::shared_ptr<Outcome> ask(std::vector<SaeId> additional, etsi::KeyRequest request = {}) {
    request.additional_slave_sae_ids = std::move(additional);
    return world.enc_keys(kA, "sae-a", "sae-b", std::move(request));
  }

  // What dec_keys at that site ends with: 200, or why not.
  unsigned fetch(std::size_t at, const std::vector<KeyId>& ids, bool second = false) {
    const auto dec = world.dec_keys(at, World::sae(at, second), "sae-a", ids);
    world.advance(seconds(1));
    return dec->ok() ? 200 : dec->error();
  }

  // What becomes of a transfer to that site.
  enum class Fate { passes, altered, lost, late };

  std::vector<SecretBytes> carry(std::size_t from, std::size_t to, SecretBytes message) {
    std::vector<SecretBytes> out;
    const auto decoded = wire::decode(message.view());
    const auto* transfer = from == kA && decoded ? std::get_if<wire::KeyTransfer>(&*decoded) : nullptr;
    if (transfer != nullptr) {
      transferred.assign(1, KeyId(transfer->key_ids.front().text()));
      if (fates[to] == Fate::lost) return out;
      if (fates[to] == Fate::late) {
        late = std::move(message);
        return out;
      }
      if (fates[to] == Fate::altered) message.mutable_view()[message.size() - 20] ^= 1;
    }
    if (decoded && std::holds_alternative<wire::KeyTransferVoid>(*decoded)) ++voids;
    out.push_back(std::move(message));
    if (from == kA && to == kC && fates[kC] == Fate::passes && !late.empty()) out.push_back(std::move(late));
    return out;
  }

  int reported(const std::string& event) const {
    const auto found = world.reports().find(event);
    return found == world.reports().end() ? 0 : found->second;
  }

  World world{21, 4};
  std::map<std::size_t, Fate> fates;
  std::vector<KeyId> transferred;  // the first key_ID of the last transfer
  SecretBytes late;                // to c, behind the next message once transfers pass
  int voids = 0;
};

// The ledger compares the octets.
TEST_F(MulticastTest, SlavesOfSeveralKmesEachFetchTheSameKeyOnce) {
  stock();
  const auto enc = ask({SaeId("sae-c"), SaeId("sae-b2"), SaeId("sae-d2")});
  world.settle();
  ASSERT_TRUE(enc->ok()) << enc->error();
  EXPECT_EQ(fetch(kC, enc->ids(), true), 401U);
  for (const auto& [site, second] : {std::pair(kB, false), {kB, true}, {kC, false}, {kD, true}}) {
    EXPECT_EQ(fetch(site, enc->ids(), second), 200U) << site;
    EXPECT_EQ(fetch(site, enc->ids(), second), 400U) << site;
  }
  EXPECT_EQ(world.ledger().slaves(), 4U);
}

// At b, whose pool with a has it, and at c, to which it was transferred.
TEST_F(MulticastTest, WhoNamesAMasterOfAnotherKmeGets401AndTheKeyStays) {
  stock();
  const auto enc = ask({SaeId("sae-c")});
  world.settle();
  ASSERT_TRUE(enc->ok()) << enc->error();
  for (const std::size_t site : {kB, kC}) {
    EXPECT_EQ(world.dec_keys(site, World::sae(site, false), "sae-d", enc->ids())->error(), 401U) << site;
    EXPECT_EQ(fetch(site, enc->ids()), 200U) << site;
  }
}

// Who knows all that the one device between a and c makes would know a key that two vendors stand behind.
TEST_F(MulticastTest, KeysOfSeveralSourcesGoNowhereUnderKeyOfFewer) {
  world.configure = [](KmeConfig& config) {
    const KmeId other(config.id == KmeId("a") ? "b" : "a");
    for (PeerConfig& peer : config.peers) {
      if (peer.id != other || config.id == KmeId("c") || config.id == KmeId("d")) continue;
      peer.min_sources = 2;
      config.sources.push_back({"link-2", peer.id});
    }
  };
  world.kill(kA);
  world.start(kA);
  EXPECT_EQ(ask({SaeId("sae-c")})->error(), 400U);
  EXPECT_EQ(ask({SaeId("sae-b2")})->error(), 503U);
}

// One node would know a key that no single node knows.
TEST_F(MulticastTest, KeysRelayedOverSeveralPathsGoNowhereUnderKeyOfFewer) {
  world.configure = [](KmeConfig& config) {
    if (config.id != KmeId("a")) return;
    for (PeerConfig& peer : config.peers) {
      peer.relay_target_octets = peer.id == KmeId("d") ? 0 : 4'096;
      peer.relay_paths = peer.id == KmeId("b") ? 2 : 1;
    }
  };
  world.kill(kA);
  world.start(kA);
  EXPECT_EQ(ask({SaeId("sae-c")})->error(), 400U);
  EXPECT_EQ(ask({SaeId("sae-d")})->error(), 503U);
  etsi::KeyRequest request;
  request.additional_slave_sae_ids = {SaeId("sae-b")};
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-c", request)->error(), 503U);
}

TEST_F(MulticastTest, AnyNumberAndSizeThatEncKeysTakes) {
  stock(65'536);
  for (const auto& [number, bits] : {std::pair(3U, 64U), {2U, 264U}, {128U, 256U}, {32U, 8'192U}}) {
    etsi::KeyRequest request;
    request.number = number;
    request.size_bits = bits;
    const auto enc = ask({SaeId("sae-c")}, request);
    world.advance(seconds(1));
    ASSERT_TRUE(enc->ok()) << number << " of " << bits << ": " << enc->error();
    EXPECT_EQ(fetch(kB, enc->ids()), 200U);
    EXPECT_EQ(fetch(kC, enc->ids()), 200U);
    stock(65'536);
  }
}

// The smallest leases: four slots. The keys take one whole lease of the pool with b, and with the key of the tag the
// pad takes one of the pool with c.
TEST_F(MulticastTest, PadsAreCountedAsConsumedAtBothEnds) {
  stock(256);
  etsi::KeyRequest request;
  request.number = 3;
  const auto enc = ask({SaeId("sae-c")}, request);
  world.advance(seconds(1));
  ASSERT_TRUE(enc->ok());
  for (const auto& [here, there] : {std::pair(kA, kC), {kC, kA}}) {
    EXPECT_EQ(world.pool(here, there).books.consumed, 4 * kSlotSize);
    EXPECT_EQ(world.pool(here, there).books.burnt, 0U);
  }
}

TEST_F(MulticastTest, TheLastKeysOfALeaseAreBoundBeforeItIsClosed) {
  stock(256);
  etsi::KeyRequest request;
  request.number = 4;
  world.make_block(kA, kC, 4'096);
  const auto enc = ask({SaeId("sae-c")}, request);
  world.settle();
  ASSERT_TRUE(enc->ok());
  EXPECT_EQ(fetch(kB, enc->ids()), 200U);
}

TEST_F(MulticastTest, WithoutContactOrKeyItIsRefusedAndNoKeySpent) {
  world.make_block(kA, kB, 4'096);
  world.settle();
  EXPECT_EQ(ask({SaeId("sae-c")})->error(), 503U);
  stock();
  const auto before = world.pool(kA, kB).leased_keys;
  world.disconnect(kA, kC);
  EXPECT_EQ(ask({SaeId("sae-c")})->error(), 503U);
  EXPECT_EQ(world.pool(kA, kB).leased_keys, before);
  EXPECT_EQ(ask({SaeId("sae-a2")})->error(), 400U);
  EXPECT_TRUE(ask({SaeId("sae-b2")})->ok());
}

TEST_F(MulticastTest, WhenOneKmeDoesNotTakeThemNobodyGetsThem) {
  stock(256);
  fates[kD] = Fate::altered;
  const auto enc = ask({SaeId("sae-c"), SaeId("sae-d")});
  world.settle();
  EXPECT_EQ(enc->error(), 503U);
  EXPECT_EQ(reported("key_transfer_forged"), 1);
  EXPECT_EQ(reported("multicast_failed"), 1);
  EXPECT_EQ(voids, 2);
  for (const std::size_t site : {kB, kC, kD})
    EXPECT_EQ(fetch(site, transferred), 400U) << site;
  // The rest of the lease is used up: the key that nobody got is burnt at both ends.
  etsi::KeyRequest three;
  three.number = 3;
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b", three)->ok());
  world.advance(std::chrono::hours(2));
  EXPECT_EQ(world.pool(kA, kB).books.burnt, kSlotSize);
  EXPECT_EQ(world.pool(kA, kB).books.delivered, 3 * kSlotSize);
}

TEST_F(MulticastTest, AKmeThatTakesNoneHasFewKeysOfOthersBurnt) {
  stock();
  fates[kC] = Fate::altered;
  EXPECT_FALSE(ask({SaeId("sae-c")})->ok());
  world.settle();
  const auto left = world.pool(kA, kB).leased_keys;
  EXPECT_EQ(ask({SaeId("sae-c")})->error(), 503U);
  world.settle();
  EXPECT_EQ(world.pool(kA, kB).leased_keys, left);
  fates[kC] = Fate::passes;
  const auto elsewhere = ask({SaeId("sae-d")});
  world.settle();
  EXPECT_TRUE(elsewhere->ok());
  world.advance(kTransferPause);
  const auto later = ask({SaeId("sae-c")});
  world.settle();
  EXPECT_TRUE(later->ok());
}

TEST_F(MulticastTest, OneThatDoesNotAnswerIsWaitedForNoLonger) {
  stock();
  fates[kC] = Fate::lost;
  const auto enc = ask({SaeId("sae-c")});
  world.advance(kTransferTime - milliseconds(1));
  EXPECT_FALSE(enc->reply);
  world.advance(milliseconds(1));
  EXPECT_EQ(enc->error(), 503U);
  EXPECT_EQ(fetch(kB, transferred), 400U);
}

TEST_F(MulticastTest, LossOfTheLinkEndsItAtOnce) {
  stock();
  fates[kC] = Fate::lost;
  const auto enc = ask({SaeId("sae-c")});
  world.settle();
  world.disconnect(kA, kC);
  EXPECT_EQ(enc->error(), 503U);
}

TEST_F(MulticastTest, KeysWhoseMasterHasHungUpAreErased) {
  stock();
  fates[kD] = Fate::lost;
  const auto enc = ask({SaeId("sae-c"), SaeId("sae-d")});
  world.settle();
  world.cancel(kA, enc->id);
  world.advance(seconds(5));
  EXPECT_FALSE(enc->reply);
  EXPECT_EQ(voids, 2);
  EXPECT_EQ(fetch(kC, transferred), 400U);
  EXPECT_EQ(fetch(kB, transferred), 400U);
}

// Nobody wants a pad any more that was wanted before its lease could be had.
TEST_F(MulticastTest, WhatWasGivenUpTakesNoMoreLeases) {
  world.make_block(kA, kB, 65'536);
  stock(16'384);
  etsi::KeyRequest request;
  request.number = 90;
  request.size_bits = 512;
  world.hold_messages(true);
  const auto enc = ask({SaeId("sae-c")}, request);
  world.settle();
  world.cancel(kA, enc->id);
  world.hold_messages(false);
  world.advance(seconds(1));
  ASSERT_GT(world.pool(kA, kC).leased_keys, 150U);
  request = {};
  request.number = 100;
  for (int i = 0; i < 2; ++i) {
    const auto keys = world.enc_keys(kA, "sae-a", "sae-c", request);
    world.advance(seconds(1));
    EXPECT_TRUE(keys->ok());
  }
  EXPECT_LT(world.pool(kA, kC).leased_keys, 100U);
}

// Its target's run has ended meanwhile, and with it the lease that the key was cut from.
TEST_F(MulticastTest, AKeyThatTheTargetCannotGiveAnyMoreNobodyGets) {
  stock();
  fates[kC] = Fate::late;
  const auto enc = ask({SaeId("sae-c")});
  world.settle();
  const std::vector<KeyId> ids = transferred;
  world.kill(kB);
  world.start(kB);
  world.connect(kA, kB);
  world.settle();
  ASSERT_FALSE(enc->reply);
  fates[kC] = Fate::passes;
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-c")->ok());
  world.settle();
  EXPECT_EQ(enc->error(), 503U);
  EXPECT_EQ(voids, 1);
  EXPECT_EQ(fetch(kC, ids), 400U);
  EXPECT_EQ(world.pool(kA, kB).books.delivered, 0U);
  EXPECT_GT(world.pool(kA, kB).books.burnt, 0U);
}

TEST_F(MulticastTest, KeysThatAreNotFetchedAreGoneWithTheirTimeAndWithTheRunThatHoldsThem) {
  stock();
  const auto first = ask({SaeId("sae-c"), SaeId("sae-d")});
  world.settle();
  ASSERT_TRUE(first->ok());
  world.kill(kC);
  world.start(kC);
  world.connect(kA, kC);
  world.settle();
  EXPECT_EQ(fetch(kC, first->ids()), 400U);
  world.advance(Limits{}.undelivered_ttl);
  EXPECT_EQ(fetch(kD, first->ids()), 400U);
}

TEST_F(MulticastTest, SaysSimulatedOfAnyPoolThatHadAPart) {
  world.simulate(false);
  world.make_block(kA, kB, 4'096);
  world.make_block(kA, kD, 4'096);
  world.simulate(true);
  world.make_block(kA, kC, 4'096);
  world.settle();
  const auto simulated = [](const std::shared_ptr<Outcome>& outcome) {
    return std::get<etsi::KeyContainer>(*outcome->reply).simulated;
  };
  const auto over_real = ask({SaeId("sae-d")});
  world.settle();
  ASSERT_TRUE(over_real->ok());
  EXPECT_FALSE(simulated(over_real));
  const auto over_simulated = ask({SaeId("sae-c")});
  world.settle();
  ASSERT_TRUE(over_simulated->ok());
  EXPECT_TRUE(simulated(over_simulated));
  // A key of the simulated pool with c, brought to d by key of a real one.
  etsi::KeyRequest request;
  request.additional_slave_sae_ids = {SaeId("sae-d")};
  const auto enc = world.enc_keys(kA, "sae-a", "sae-c", request);
  world.settle();
  ASSERT_TRUE(enc->ok());
  const auto dec = world.dec_keys(kD, "sae-d", "sae-a", enc->ids());
  ASSERT_TRUE(dec->ok());
  EXPECT_TRUE(simulated(dec));
}

TEST(MulticastOverRelay, ReachesAKmeWithWhichThereIsNoQkdLink) {
  World world(3, 3, {}, Topology::line(3, 16'384));
  for (std::size_t i = 0; i < 3; ++i)
    world.start(i);
  for (const auto& [a, b] : {std::pair(kA, kB), {kB, kC}, {kA, kC}})
    world.connect(a, b);
  world.settle();
  for (const auto& [a, b] : {std::pair(kA, kB), {kB, kC}})
    world.make_block(a, b, 65'536);
  world.advance(seconds(3));
  etsi::KeyRequest request;
  request.additional_slave_sae_ids = {SaeId("sae-c")};
  const auto enc = world.enc_keys(kA, "sae-a", "sae-b", request);
  world.advance(seconds(1));
  ASSERT_TRUE(enc->ok()) << enc->error();
  for (const std::size_t site : {kB, kC}) {
    const auto dec = world.dec_keys(site, World::sae(site), "sae-a", enc->ids());
    world.advance(seconds(1));
    EXPECT_TRUE(dec->ok()) << site;
  }
}

}  // namespace
}  // namespace quipu::kms::sim
