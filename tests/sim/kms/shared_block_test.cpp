// SPDX-License-Identifier: Apache-2.0
// One block for two pools: two KMEs would share a key that each believes to be its own and ours.
#include "sim/kms/scripted_peer.h"

namespace quipu::kms::sim {
namespace {

class SharedBlock : public ScriptedPeer {
 protected:
  void deliver(const std::string& source, const BlockId& id, std::uint8_t filler) {
    std::vector<SourceBlock> blocks;
    blocks.push_back({source, id, SecretBytes::copy_of(Bytes(256, filler)), false, {}});
    take(kme->blocks_received(std::move(blocks), WallTime{}, now));
  }

  // Held and usable blocks of the pool with "c".
  std::uint64_t octets_of_c() const { return store.disk()[KmeId("c")].books.received; }

  std::int64_t refused() const { return std::ranges::count(reports, "block_elsewhere"); }
};

TEST_F(SharedBlock, IsRefusedForTheSecondPool) {
  contact();
  deliver("link", BlockId(uuid(1)), 7);
  deliver("link-c", BlockId(uuid(1)), 8);  // the same id
  EXPECT_EQ(refused(), 1);
  deliver("link-c", BlockId(uuid(2)), 7);  // the same octets
  EXPECT_EQ(refused(), 2);
  EXPECT_EQ(octets_of_c(), 0U);
  deliver("link-c", BlockId(uuid(2)), 8);
  EXPECT_EQ(refused(), 2);
  EXPECT_EQ(octets_of_c(), 256U);
}

TEST_F(SharedBlock, IsRefusedOnceItsKeysAreUsedUp) {
  contact();
  const BlockId block = stocked_block();
  use_up({block, {0, 256}});
  deliver("link-c", block, 9);
  EXPECT_EQ(refused(), 1);
  EXPECT_EQ(octets_of_c(), 0U);
}

// A peer may say of any id that it is void: nothing of other pools depends on it.
TEST_F(SharedBlock, APeersWordIsNoBlockOfItsPool) {
  contact();
  const auto states = ask<wire::BlockStates>(wire::VoidRequest{{}, {{BlockId(uuid(1)), {}, 256}}});
  ASSERT_TRUE(states);
  deliver("link-c", BlockId(uuid(1)), 7);
  EXPECT_EQ(refused(), 0);
  EXPECT_EQ(octets_of_c(), 256U);
}

// --- what is refused is counted ---

TEST_F(SharedBlock, RefusalsAreCountedInTheirPool) {
  contact();
  deliver("link", BlockId(uuid(1)), 0);
  EXPECT_EQ(pool().refused_blocks, 1U);
  EXPECT_EQ(refusal(lease(1, {{BlockId(uuid(9)), {0, 32}}}, instance)), wire::RefusalReason::no_block);
  EXPECT_EQ(pool().refused_requests, 1U);
  EXPECT_EQ(pool().violations, 0U);
  say(wire::Ack{wire::RequestNumber(99)});  // of nothing that was asked
  EXPECT_EQ(pool().violations, 1U);
}

}  // namespace
}  // namespace quipu::kms::sim
