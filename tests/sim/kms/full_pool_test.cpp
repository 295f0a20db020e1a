// SPDX-License-Identifier: Apache-2.0
// Where keys are made faster than they are used, a full pool is the normal state.
#include <gtest/gtest.h>

#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

constexpr std::size_t kA = 0;
constexpr std::size_t kB = 1;

class FullPool : public testing::Test {
 protected:
  void SetUp() override {
    world.start(kA);
    world.start(kB);
    world.connect(kA, kB);
    world.settle();
  }

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

  int reported() const {
    const auto found = world.reports().find("pool_full");
    return found == world.reports().end() ? 0 : found->second;
  }

  static Limits limits() {
    Limits out;
    out.pool_octets = std::uint64_t{64} * 1'024;
    return out;
  }

  World world{12, 2, limits()};
};

TEST_F(FullPool, TakesNoMoreAndSaysSoOnce) {
  fill();
  EXPECT_LE(pool().books.held + pool().books.stock, limits().pool_octets);
  EXPECT_EQ(reported(), 2);  // one each
  fill();
  EXPECT_EQ(reported(), 2);
}

TEST_F(FullPool, SaysSoAgainOnlyAfterItHadRoom) {
  fill();
  take_octets(3 * 1'024);
  fill();
  EXPECT_EQ(reported(), 2);
  take_octets(16 * 1'024);
  fill();
  EXPECT_EQ(reported(), 4);
}

}  // namespace
}  // namespace quipu::kms::sim
