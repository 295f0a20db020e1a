// SPDX-License-Identifier: Apache-2.0
// Two and three sites without disasters: what has to work.
#include <gtest/gtest.h>

#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

void bring_up(World& world) {
  for (std::size_t i = 0; i < world.nodes(); ++i)
    world.start(i);
  for (std::size_t i = 0; i < world.nodes(); ++i)
    for (std::size_t j = i + 1; j < world.nodes(); ++j)
      world.connect(i, j);
  world.settle();
}

TEST(Exchange, AKeyFetchedAtOneSiteIsFetchedOnceAtTheOther) {
  World world(1, 2);
  bring_up(world);
  for (int i = 0; i < 4; ++i)
    world.make_block(0, 1, 4096);
  world.settle();
  for (const std::size_t from : {0U, 1U}) {
    const std::size_t to = 1 - from;
    const auto enc = world.enc_keys(from, World::sae(from), World::sae(to));
    ASSERT_TRUE(enc->ok());
    world.settle();
    EXPECT_TRUE(world.dec_keys(to, World::sae(to), World::sae(from), enc->ids())->ok());
    EXPECT_EQ(world.dec_keys(to, World::sae(to), World::sae(from), enc->ids())->error(), 400U);
  }
  EXPECT_EQ(world.ledger().masters(), 2U);
  EXPECT_EQ(world.ledger().slaves(), 2U);
}

TEST(Exchange, AKeyIsCountedAsSoonAsItIsHandedOut) {
  World world(1, 2);
  bring_up(world);
  world.make_block(0, 1, 4096);
  world.settle();
  const auto enc = world.enc_keys(0, World::sae(0), World::sae(1), {.number = 2});
  ASSERT_TRUE(enc->ok());
  // Its lease is open, and stays so.
  EXPECT_EQ(world.pool(0, 1).books.delivered, 0U);
  EXPECT_EQ(world.pool(0, 1).delivered_keys, 2U);
  EXPECT_EQ(world.pool(0, 1).delivered_octets, 64U);
  EXPECT_EQ(world.pool(0, 1).burnt_octets, 0U);
  const std::uint64_t leased = world.pool(0, 1).books.leased;
  ASSERT_GT(leased, 0U);
  // Another run counts from nothing, and what it burns at its start is its own.
  world.kill(0);
  world.start(0);
  EXPECT_EQ(world.pool(0, 1).delivered_keys, 0U);
  EXPECT_EQ(world.pool(0, 1).delivered_octets, 0U);
  EXPECT_EQ(world.pool(0, 1).burnt_octets, leased);
}

TEST(Exchange, SaysSimulatedWhateverBecameOfTheBlocks) {
  World world(1, 2);
  world.simulate(false);
  bring_up(world);
  world.make_block(0, 1, 4096);
  world.settle();
  const auto real = world.enc_keys(0, World::sae(0), World::sae(1));
  ASSERT_TRUE(real->ok());
  EXPECT_FALSE(std::get<etsi::KeyContainer>(*real->reply).simulated);
  const auto count = world.status(0, World::sae(0), World::sae(1));
  EXPECT_FALSE(std::get<etsi::Status>(*count->reply).simulated);
  world.simulate(true);
  world.make_block(0, 1, 4096);
  world.settle();
  for (const bool restarted : {false, true}) {
    if (restarted) {
      world.kill(0);
      world.start(0);
      world.connect(0, 1);
      world.settle();
    }
    EXPECT_TRUE(world.pool(0, 1).simulated) << restarted;
    const auto status = world.status(0, World::sae(0), World::sae(1));
    EXPECT_TRUE(std::get<etsi::Status>(*status->reply).simulated);
    const auto enc = world.enc_keys(0, World::sae(0), World::sae(1));
    ASSERT_TRUE(enc->ok());
    EXPECT_TRUE(std::get<etsi::KeyContainer>(*enc->reply).simulated);
    world.settle();
    const auto dec = world.dec_keys(1, World::sae(1), World::sae(0), enc->ids());
    ASSERT_TRUE(dec->ok());
    EXPECT_TRUE(std::get<etsi::KeyContainer>(*dec->reply).simulated);
  }
}

TEST(Exchange, StockIsUsedToTheLastKeyByBothSites) {
  World world(2, 2);
  bring_up(world);
  for (int i = 0; i < 8; ++i)
    world.make_block(0, 1, 2048);
  world.settle();
  std::size_t keys = 0;
  for (std::size_t turn = 0, failures = 0; failures < 2; ++turn) {
    const std::size_t from = turn % 2;
    const auto enc = world.enc_keys(from, World::sae(from), World::sae(1 - from));
    world.advance(seconds(1));
    if (!enc->ok()) {
      EXPECT_EQ(enc->error(), 503U);
      ++failures;
      continue;
    }
    ++keys;
    EXPECT_TRUE(world.dec_keys(1 - from, World::sae(1 - from), World::sae(from), enc->ids())->ok());
    world.settle();
  }
  // What one site has leased ahead is not the other's, and may be left at the end.
  EXPECT_GE(keys, 8 * 2048 / 32 - 8);
  for (const std::size_t at : {0U, 1U}) {
    const Books books = world.pool(at, 1 - at).books;
    EXPECT_EQ(books.received, 8 * 2048U);
    EXPECT_EQ(books.stock, 0U);
    EXPECT_TRUE(books.balanced());
  }
}

TEST(Exchange, ThreeSitesKeepTheirPoolsApart) {
  World world(3, 3);
  bring_up(world);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = i + 1; j < 3; ++j)
      for (int n = 0; n < 4; ++n)
        world.make_block(i, j, 1024);
  world.settle();
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      if (i == j) continue;
      const auto enc = world.enc_keys(i, World::sae(i), World::sae(j));
      ASSERT_TRUE(enc->ok());
      world.settle();
      const std::size_t third = 3 - i - j;
      EXPECT_EQ(world.dec_keys(third, World::sae(third), World::sae(i), enc->ids())->error(), 400U);
      EXPECT_TRUE(world.dec_keys(j, World::sae(j), World::sae(i), enc->ids())->ok());
    }
}

// Its time begins when it is bound here.
TEST(Exchange, WhatNoSlaveFetchesInTimeCountsAsExpired) {
  World world(9, 2);
  world.start(0);
  world.start(1);
  world.connect(0, 1);
  world.make_block(0, 1, 4096);
  world.settle();
  etsi::KeyRequest two;
  two.number = 2;
  const auto enc = world.enc_keys(0, World::sae(0), World::sae(1), two);
  world.settle();
  ASSERT_TRUE(enc->ok());
  const auto dec = world.dec_keys(1, World::sae(1), World::sae(0), {enc->ids().front()});
  world.settle();
  ASSERT_TRUE(dec->ok());
  world.advance(std::chrono::hours(2));
  world.kill(0);  // its leases end with it
  world.start(0);
  world.connect(0, 1);
  world.settle();
  const Books books = world.pool(1, 0).books;
  EXPECT_EQ(books.delivered, 32U);
  EXPECT_EQ(books.expired, 32U);
  EXPECT_EQ(world.pool(0, 1).books.expired, 0U) << "they were handed to their master there";
  const auto late = world.dec_keys(1, World::sae(1), World::sae(0), {enc->ids().back()});
  world.settle();
  EXPECT_EQ(late->error(), 400U);
}

}  // namespace
}  // namespace quipu::kms::sim
