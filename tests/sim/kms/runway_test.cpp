// SPDX-License-Identifier: Apache-2.0
// How long the stock is said to last: by what is handed out, not by what is laid aside for it.
#include <gtest/gtest.h>

#include "sim/kms/relay_network.h"
#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

class Runway : public TwoSites {
 protected:
  Runway() : TwoSites(21) {
    contact();
    stock(16);
  }

  // One key a second.
  void use(int keys) {
    for (int i = 0; i < keys; ++i) {
      const auto enc = world.enc_keys(kA, "sae-a", "sae-b");
      world.settle();
      ASSERT_TRUE(enc->ok());
      ASSERT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", enc->ids())->ok());
      world.advance(seconds(1));
    }
  }
};

// What the old run had leased is burnt, and the new one takes leases of its own: it used nothing yet.
TEST_F(Runway, LeasesTakenAfterARestartAreNoUse) {
  world.kill(kA);
  world.start(kA);
  world.connect(kA, kB);
  for (int i = 0; i < 90; ++i) {
    world.advance(seconds(1));
    EXPECT_FALSE(world.pool(kA, kB).runway_s.has_value()) << i;
    EXPECT_FALSE(world.pool(kB, kA).runway_s.has_value()) << i;
  }
  EXPECT_GT(world.pool(kA, kB).books.leased, 0U);
}

TEST_F(Runway, IsTheStockByWhatIsUsed) {
  use(50);
  EXPECT_FALSE(world.pool(kA, kB).runway_s.has_value());  // too early to say
  world.advance(std::chrono::minutes(10));                // until the blocks are no production of the last minute
  use(300);
  for (const PoolStatus& pool : {world.pool(kA, kB), world.pool(kB, kA)}) {
    ASSERT_TRUE(pool.runway_s.has_value());
    const double seconds_left = static_cast<double>(pool.books.stock) / kSlotSize;
    EXPECT_NEAR(*pool.runway_s, seconds_left, seconds_left / 10);
  }
}

// At the further KME the pad of the transfer is what the pool has lost, not the key that it brought.
TEST(RunwayOfAFurtherKme, CountsATransferOnce) {
  World world{33, 3};
  for (std::size_t i = 0; i < world.nodes(); ++i)
    world.start(i);
  for (const std::size_t other : {std::size_t{1}, std::size_t{2}})
    world.connect(0, other);
  world.settle();
  for (const std::size_t other : {std::size_t{1}, std::size_t{2}})
    for (int i = 0; i < 4; ++i)
      world.make_block(0, other, 16'384);
  world.advance(std::chrono::minutes(3));
  etsi::KeyRequest request;
  request.additional_slave_sae_ids = {SaeId("sae-c")};
  for (int i = 0; i < 100; ++i) {
    const auto enc = world.enc_keys(0, "sae-a", "sae-b", request);
    world.advance(seconds(1));
    ASSERT_TRUE(world.dec_keys(2, "sae-c", "sae-a", enc->ids())->ok());
  }
  const double at_a = world.pool(0, 2).consumption_bit_s;
  EXPECT_GT(at_a, 0);
  EXPECT_NEAR(world.pool(2, 0).consumption_bit_s, at_a, at_a / 20);
}

// On a trusted node nothing else uses the key of its links.
TEST(RunwayOfATrustedNode, CountsThePadsOfTheRelay) {
  Network net(22, 3, Topology::line(3, 16'384));
  net.begin();
  net.world().advance(std::chrono::minutes(3));  // until the blocks are no production of the last minute
  for (int i = 0; i < 12; ++i) {
    net.take_keys(0, 2);
    net.world().advance(seconds(10));
  }
  for (const auto& [at, with] : {std::pair{0, 1}, std::pair{1, 0}, std::pair{1, 2}, std::pair{2, 1}}) {
    const PoolStatus pool = net.world().pool(static_cast<std::size_t>(at), static_cast<std::size_t>(with));
    EXPECT_EQ(pool.delivered_keys, 0U);
    EXPECT_GT(pool.consumption_bit_s, 0) << at << " with " << with;
    EXPECT_TRUE(pool.runway_s.has_value()) << at << " with " << with;
  }
}

}  // namespace
}  // namespace quipu::kms::sim
