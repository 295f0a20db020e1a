// SPDX-License-Identifier: Apache-2.0
// What the ETSI GS QKD 014 status of a KMS promises an SAE, between two sites.
#include <gtest/gtest.h>

#include "kms/availability.h"
#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

class StatusReply : public TwoSites {
 protected:
  explicit StatusReply(const Limits& limits = {}) : TwoSites(11, limits) {
    contact();
    stock();
  }

  etsi::Status told() { return std::get<etsi::Status>(*world.status(kA, "sae-a", "sae-b")->reply); }
};

class StatusReplyOfLimits : public StatusReply {
 protected:
  static constexpr Limits kLimits{.key_size_bits = 512,
                                  .min_key_size_bits = 128,
                                  .max_key_size_bits = 1'024,
                                  .max_keys_per_request = 7,
                                  .max_additional_slaves = 3,
                                  .pool_octets = 1 << 20};

  StatusReplyOfLimits() : StatusReply(kLimits) {}
};

TEST_F(StatusReplyOfLimits, TellsThemAsTheyAre) {
  const etsi::Status status = told();
  EXPECT_EQ(status.master_sae_id, SaeId("sae-a"));
  EXPECT_EQ(status.slave_sae_id, SaeId("sae-b"));
  EXPECT_EQ(status.key_size, 512U);
  EXPECT_EQ(status.min_key_size, 128U);
  EXPECT_EQ(status.max_key_size, 1'024U);
  EXPECT_EQ(status.max_key_per_request, 7U);
  EXPECT_EQ(status.max_sae_id_count, 3U);
  EXPECT_EQ(status.max_key_count, (1U << 20) / 64);
}

// Of small blocks it takes no more than of others.
TEST_F(StatusReply, APoolHasRoomForSoManyOctetsAndSoManyBlocks) {
  EXPECT_EQ(told().max_key_count, (std::uint64_t{64} << 20) / kSlotSize);
  for (int i = 0; i < 28; ++i)
    world.make_block(kA, kB, 32);
  world.settle();
  EXPECT_EQ(told().max_key_count, kMaxPoolBlocks * (4 * 4'096 + 28 * 32) / 32 / kSlotSize);
}

TEST_F(StatusReply, CountsWhatIsThere) {
  const etsi::Status status = told();
  EXPECT_EQ(status.source_kme_id, KmeId("a"));
  EXPECT_EQ(status.target_kme_id, KmeId("b"));
  EXPECT_EQ(status.key_size, 256U);
  // All but what site b has leased ahead.
  EXPECT_GT(status.stored_key_count, 4 * 128 * 7 / 8U);
  EXPECT_LE(status.stored_key_count, 4 * 128U);
}

// An SAE reckons with these keys: those that no request gets are none.
TEST_F(StatusReply, CountsOnlyWhatEncKeysWouldGive) {
  const std::uint64_t stored = told().stored_key_count;
  world.disconnect(kA, kB);
  const std::uint64_t leased = world.pool(kA, kB).leased_keys;
  ASSERT_GT(leased, 0U);
  EXPECT_EQ(told().stored_key_count, leased);
  world.advance(kServeWithoutLink);
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
  EXPECT_EQ(told().stored_key_count, 0U);
  EXPECT_GT(world.pool(kA, kB).stock_keys, 0U);
  contact();
  EXPECT_EQ(told().stored_key_count, stored);
}

TEST_F(StatusReply, CountsNothingBeforeTheFirstContactOfARun) {
  world.kill(kA);
  world.start(kA);
  EXPECT_GT(world.pool(kA, kB).stock_keys, 0U);
  EXPECT_EQ(told().stored_key_count, 0U);
}

}  // namespace
}  // namespace quipu::kms::sim
