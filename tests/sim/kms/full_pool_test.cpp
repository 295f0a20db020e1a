// SPDX-License-Identifier: Apache-2.0
// Where keys are made faster than they are used, a full pool is the normal state.
#include <gtest/gtest.h>

#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

class FullPool : public TwoSites {
 protected:
  FullPool() : TwoSites(12, limits()) { contact(); }

  // Until nothing more goes in.
  void fill() {
    for (std::uint64_t refused = pool().refused_blocks; pool().refused_blocks < refused + 8;) {
      world.make_block(kA, kB, 1'024);
      world.settle();
    }
  }

  void take_octets(int octets) {
    for (int taken = 0; taken < octets; taken += 1'024) {
      const auto enc = world.enc_keys(kA, "sae-a", "sae-b", {.number = 8, .size_bits = 1'024});
      world.advance(seconds(1));
      ASSERT_TRUE(enc->ok());
      ASSERT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", enc->ids())->ok());
      world.advance(seconds(1));
    }
  }

  PoolStatus pool() const { return world.pool(kA, kB); }

  static Limits limits() {
    Limits out;
    out.pool_octets = std::uint64_t{64} * 1'024;
    return out;
  }
};

TEST_F(FullPool, TakesNoMoreAndSaysSoOnce) {
  fill();
  EXPECT_LE(pool().books.held + pool().books.stock, limits().pool_octets);
  EXPECT_EQ(reported("pool_full"), 2);  // one each
  fill();
  EXPECT_EQ(reported("pool_full"), 2);
}

TEST_F(FullPool, SaysSoAgainOnlyAfterItHadRoom) {
  fill();
  take_octets(3 * 1'024);
  fill();
  EXPECT_EQ(reported("pool_full"), 2);
  take_octets(16 * 1'024);
  fill();
  EXPECT_EQ(reported("pool_full"), 4);
}

}  // namespace
}  // namespace quipu::kms::sim
