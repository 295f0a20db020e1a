// SPDX-License-Identifier: Apache-2.0
// How long the stock is said to last: by what is handed out, not by what is laid aside for it.
#include <gtest/gtest.h>

#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

constexpr std::size_t kA = 0;
constexpr std::size_t kB = 1;

class Runway : public testing::Test {
 protected:
  void SetUp() override {
    world.start(kA);
    world.start(kB);
    world.connect(kA, kB);
    for (int i = 0; i < 16; ++i)
      world.make_block(kA, kB, 4'096);
    world.settle();
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

  World world{21, 2};
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

}  // namespace
}  // namespace quipu::kms::sim
