// SPDX-License-Identifier: Apache-2.0
// How long the stock is said to last: by what is handed out, not by what is laid aside for it.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace quipu::kms::sim
