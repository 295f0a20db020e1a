// SPDX-License-Identifier: Apache-2.0
// Sealed material that does not open: its block is void at both ends, and nothing else suffers.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

constexpr std::uint32_t kBlock = 4'096;

class DamagedBlock : public TwoSites {
 protected:
  DamagedBlock() : TwoSites(83) { contact(); }

  // Both ends have them, and none of them is leased. In the order in which they will be leased from the low end.
  std::vector<BlockId> unleased_blocks() {
    world.hold_timers(true);
    std::vector<BlockId> ids;
    for (int i = 0; i < 8; ++i)
      ids.push_back(world.make_block(kA, kB, kBlock));
    world.settle();
    std::ranges::sort(ids);
    return ids;
  }

  void alter_at_a(const BlockId& id) { world.node(kA).store.alter(KmeId("b"), id); }

  BlockState state(std::size_t at, const BlockId& id) {
    return (*world.node(at).store.find_block(KmeId(at == kA ? "b" : "a"), id))->state;
  }

  void expect_keys(std::size_t master, std::size_t slave) {
    const auto enc = world.enc_keys(master, World::sae(master), World::sae(slave));
    ASSERT_TRUE(enc->ok());
    world.settle();
    EXPECT_TRUE(world.dec_keys(slave, World::sae(slave), World::sae(master), enc->ids())->ok());
  }
};

TEST_F(DamagedBlock, IsVoidedAtBothEndsByTheLeaseThatWantedIt) {
  const std::vector<BlockId> ids = unleased_blocks();
  alter_at_a(ids[0]);
  alter_at_a(ids[3]);
  world.hold_timers(false);
  world.settle();
  EXPECT_EQ(reported("block_damaged"), 1);
  EXPECT_EQ(reported("block_voided_there"), 1);
  for (const std::size_t at : {kA, kB}) {
    EXPECT_EQ(state(at, ids[0]), BlockState::voided);
    EXPECT_EQ(state(at, ids[1]), BlockState::usable);
    EXPECT_EQ(state(at, ids[3]), BlockState::usable) << "nobody has wanted it yet";
    EXPECT_EQ(world.pool(at, 1 - at).books.voided, kBlock);
  }
  expect_keys(kA, kB);
  expect_keys(kB, kA);
}

TEST_F(DamagedBlock, OfAPeersLeaseIsRefusedAndVoidedAtBothEnds) {
  const std::vector<BlockId> ids = unleased_blocks();
  alter_at_a(ids.back());  // where the higher id leases from
  world.hold_timers(false);
  world.settle();
  EXPECT_EQ(reported("block_damaged"), 1);
  EXPECT_EQ(reported("block_voided_there"), 1);
  EXPECT_EQ(state(kA, ids.back()), BlockState::voided);
  EXPECT_EQ(state(kB, ids.back()), BlockState::voided);
  EXPECT_EQ(world.pool(kA, kB).books.voided, kBlock);
  expect_keys(kB, kA);
  expect_keys(kA, kB);
}

TEST_F(DamagedBlock, IsVoidThereTooWhenTheMessageIsLost) {
  const std::vector<BlockId> ids = unleased_blocks();
  alter_at_a(ids[0]);
  world.hold_messages(true);
  world.hold_timers(false);
  world.settle();
  EXPECT_EQ(state(kA, ids[0]), BlockState::voided);
  EXPECT_EQ(state(kB, ids[0]), BlockState::usable);
  world.disconnect(kA, kB);
  world.hold_messages(false);
  contact();
  EXPECT_EQ(state(kB, ids[0]), BlockState::voided);
  expect_keys(kA, kB);
}

// All of a pool, down to the last block: it is empty then, and fills again.
TEST_F(DamagedBlock, OneAfterTheOtherUntilNothingIsLeft) {
  const std::vector<BlockId> ids = unleased_blocks();
  for (const BlockId& id : ids)
    alter_at_a(id);
  world.hold_timers(false);
  world.settle();
  EXPECT_EQ(world.pool(kA, kB).books.voided, ids.size() * kBlock);
  EXPECT_EQ(world.pool(kA, kB).stock_octets, 0U);
  EXPECT_EQ(world.pool(kB, kA).stock_octets, 0U);
  stock();
  expect_keys(kA, kB);
}

}  // namespace
}  // namespace quipu::kms::sim
