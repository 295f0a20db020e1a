// SPDX-License-Identifier: Apache-2.0
// Pools whose keys are combined from two devices by different vendors.
#include <gtest/gtest.h>

#include "sim/kms/scripted_peer.h"
#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

constexpr unsigned kVendors = 2;

// Both sites as they are after a restart with that many devices combined.
void restart_combining(World& world, unsigned devices) {
  world.combine(devices);
  for (const std::size_t site : {kA, kB}) {
    world.kill(site);
    world.start(site);
  }
}

class Combined : public TwoSites {
 protected:
  explicit Combined(Limits limits = {}) : TwoSites(41, limits) {
    restart_combining(world, kVendors);
    contact();
  }

  BlockId feed(unsigned device, std::uint32_t size = 4'096) {
    const BlockId id = world.make_block(kA, kB, size, true, true, device);
    world.settle();
    return id;
  }

  std::shared_ptr<Outcome> ask() {
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b");
    world.advance(seconds(1));
    return enc;
  }
};

TEST_F(Combined, AKeyIsTheExclusiveOrOfASlotOfEach) {
  Bytes expected = world.octets_of(feed(0));
  const Bytes other = world.octets_of(feed(1));
  for (std::size_t i = 0; i < expected.size(); ++i)
    expected[i] ^= other[i];
  const auto enc = ask();
  ASSERT_TRUE(enc->ok());
  const SecretBytes& key = std::get<etsi::KeyContainer>(*enc->reply).keys.front().bytes;
  // The lower id takes the oldest first.
  EXPECT_EQ(Bytes(key.view().begin(), key.view().end()), Bytes(expected.begin(), expected.begin() + kSlotSize));
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", enc->ids())->ok());
}

TEST_F(Combined, OneDeviceAloneMakesNoKey) {
  feed(0);
  feed(0);
  EXPECT_EQ(ask()->error(), 503U);
  EXPECT_EQ(std::get<etsi::Status>(*world.status(kA, "sae-a", "sae-b")->reply).stored_key_count, 0U);
  EXPECT_EQ(world.pool(kA, kB).stock_octets, 0U);
  EXPECT_EQ(world.pool(kA, kB).parts.front().octets, 8'192U);
  feed(1, 64);
  EXPECT_TRUE(ask()->ok());
  EXPECT_TRUE(ask()->ok());
  EXPECT_EQ(ask()->error(), 503U);
}

TEST_F(Combined, TheBooksCountTheMaterialOfBoth) {
  feed(0, 1'024);
  feed(1, 2'048);
  std::uint64_t keys = 0;
  for (auto enc = ask(); enc->ok(); enc = ask(), ++keys)
    EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", enc->ids())->ok());
  world.advance(seconds(1));
  EXPECT_GT(keys, 8U);
  for (const std::size_t site : {kA, kB}) {
    const PoolStatus pool = world.pool(site, 1 - site);
    EXPECT_EQ(pool.books.received, 3'072U);
    EXPECT_EQ(pool.books.delivered, 2 * keys * kSlotSize);
    EXPECT_EQ(pool.delivered_octets, keys * kSlotSize);
    EXPECT_EQ(pool.books.leased, 2 * pool.leased_octets);
  }
}

TEST_F(Combined, WhatExpiresCountsForBoth) {
  feed(0, 128);
  feed(1, 128);
  etsi::KeyRequest all;
  all.number = 4;
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b", all)->ok());
  world.advance(std::chrono::hours(2));
  EXPECT_EQ(world.pool(kA, kB).books.delivered, 2 * 4 * kSlotSize);
  EXPECT_EQ(world.pool(kB, kA).books.expired, 2 * 4 * kSlotSize);
  EXPECT_EQ(world.pool(kB, kA).books.leased, 0U);
}

TEST_F(Combined, AnEndThatCombinesOtherwiseGetsNoContact) {
  feed(0);
  feed(1);
  world.kill(kA);
  world.kill(kB);
  world.start(kA);
  world.combine(1);
  world.start(kB);
  contact();
  EXPECT_NE(world.pool(kA, kB).link, LinkState::up);
  EXPECT_FALSE(world.pool(kA, kB).link_reason.empty());
  EXPECT_EQ(ask()->error(), 503U);
}

TEST_F(Combined, TwoOfThreeAreEnough) {
  world.configure = [](KmeConfig& config) {
    for (PeerConfig& peer : config.peers)
      peer.min_sources = 2;
  };
  restart_combining(world, 3);
  world.ledger().expect_combined(1);  // not each key has a part of every one
  contact();
  feed(1);
  EXPECT_EQ(ask()->error(), 503U);
  feed(2);
  EXPECT_TRUE(ask()->ok());
  feed(0);
  EXPECT_TRUE(ask()->ok());
  EXPECT_EQ(world.pool(kA, kB).parts.size(), 3U);
}

// Under two names one device would make keys alone.
TEST_F(Combined, ALinkThatWasRenamedIsNoSecondSource) {
  feed(0);
  world.configure = [](KmeConfig& config) { config.sources.front().name = "another"; };
  restart_combining(world, kVendors);
  contact();
  for (const std::size_t site : {kA, kB}) {
    EXPECT_EQ(world.pool(site, 1 - site).stock_octets, 0U);
    EXPECT_EQ(world.pool(site, 1 - site).parts.size(), 3U);
  }
  feed(1);
  EXPECT_EQ(ask()->error(), 503U);
}

// Whatever there is of each device: no lease leaves stock of which nothing can be made, and none is counted of which
// nothing can.
TEST(CombinedOfSome, WhatStatusCountsCanBeHadToTheLastKey) {
  std::uint64_t keys_of_a = 0;
  std::uint64_t keys_of_b = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, 2);
    const std::uint32_t sources = 2 + world.rng().below(2);
    const std::uint32_t slots = 1 + world.rng().below(3);
    world.configure = [&](KmeConfig& config) {
      config.limits.key_size_bits = 8 * kSlotSize * slots;
      config.peers[0].min_sources = sources;
    };
    restart_combining(world, 3);
    world.ledger().expect_combined(1);
    world.connect(kA, kB);
    for (int blocks = 0; blocks < 6; ++blocks)
      world.make_block(kA, kB, kSlotSize * (1 + world.rng().below(40)), true, true, world.rng().below(3));
    world.settle();
    for (const auto& [at, master, slave] : {std::tuple(kA, "sae-a", "sae-b"), {kB, "sae-b", "sae-a"}}) {
      const std::uint64_t counted = std::get<etsi::Status>(*world.status(at, master, slave)->reply).stored_key_count;
      std::uint64_t keys = 0;
      for (bool more = true; more; keys += more ? 1 : 0) {
        const auto enc = world.enc_keys(at, master, slave);
        world.advance(seconds(1));
        more = enc->ok();
      }
      EXPECT_EQ(keys, counted) << sources << " of 3, " << slots << " slots a key";
      (at == kA ? keys_of_a : keys_of_b) += keys;
    }
  }
  EXPECT_GT(keys_of_a, 600U);
  EXPECT_GT(keys_of_b, 60U);
}

class CombinedPeer : public ScriptedPeer {
 protected:
  void adjust(KmeConfig& config) override {
    config.peers[0].min_sources = kVendors;
    config.sources.push_back({"link-2", KmeId("b")});
  }

  // Of one slot of key.
  wire::Lease lease_of_one(std::uint8_t n, std::vector<Extent> extents) {
    wire::Lease m = lease(n, std::move(extents), instance);
    m.key_ids.resize(1);
    return m;
  }
};

TEST_F(CombinedPeer, ALeaseWithoutAPartOfEachDeviceIsRefused) {
  using enum wire::RefusalReason;
  contact();
  const BlockId one = stocked_block(1);
  const BlockId two = stocked_block(2);
  const BlockId other = stocked_block(3, "link-2");
  EXPECT_EQ(refusal(lease_of_one(20, {{one, {0, 32}}})), sources);
  EXPECT_EQ(refusal(lease_of_one(21, {{one, {0, 64}}})), sources);
  EXPECT_EQ(refusal(lease_of_one(22, {{one, {0, 32}}, {two, {0, 32}}})), sources);
  EXPECT_EQ(refusal(lease_of_one(23, {{one, {0, 32}}, {other, {0, 32}}, {two, {0, 32}}})), sources);
  EXPECT_TRUE(ask<wire::Ack>(lease_of_one(24, {{one, {0, 32}}, {other, {0, 32}}})));
}

TEST_F(CombinedPeer, APeerThatCombinesOtherwiseIsToldSo) {
  say(wire::Hello{wire::kVersion, KmeId("b"), KmeId("a"), instance, {}, 1});
  expect_goodbye(wire::GoodbyeReason::combiner);
}

// What one device has filled is no room that the other one needs.
class CombinedInASmallPool : public Combined {
 protected:
  CombinedInASmallPool() : Combined({.pool_octets = 16'384}) {}
};

TEST_F(CombinedInASmallPool, EachDeviceHasItsShare) {
  for (int i = 0; i < 6; ++i)
    feed(0);
  EXPECT_GT(reported("pool_full"), 0);
  feed(1);
  EXPECT_TRUE(ask()->ok());
}

// Keys that were taken as they came are not handed out once they shall be combined.
TEST(CombinedLater, StockOfOneDeviceIsOnlyAPart) {
  World world(42, 2);
  world.start(kA);
  world.start(kB);
  world.connect(kA, kB);
  world.make_block(kA, kB, 4'096);
  world.settle();
  const auto ask = [&] {
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b");
    world.advance(seconds(1));
    return enc;
  };
  EXPECT_TRUE(ask()->ok());
  restart_combining(world, kVendors);
  world.ledger().expect_combined(1);  // the old stock has no marks
  world.connect(kA, kB);
  world.settle();
  EXPECT_EQ(ask()->error(), 503U);
  world.make_block(kA, kB, 4'096, true, true, 1);
  world.settle();
  EXPECT_TRUE(ask()->ok());
}

TEST(CombinedConfiguration, MoreSourcesThanThereAreAreRefused) {
  MemoryStore store;
  SeededRng rng(1);
  KmeConfig config{.id = KmeId("a"), .saes = {}, .peers = {}, .sources = {}, .limits = {}};
  config.peers.push_back({.id = KmeId("b"), .saes = {}, .min_sources = 2});
  config.sources = {{"one", KmeId("b")}};
  EXPECT_FALSE(Kme::start(config, store, rng, {}, {}));
  config.sources.push_back({"two", KmeId("b")});
  EXPECT_TRUE(Kme::start(config, store, rng, {}, {}));
}

}  // namespace
}  // namespace quipu::kms::sim
