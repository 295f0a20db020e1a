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
  std::vector<BlockId> unleased_blocks(std::size_t number = 8, std::uint32_t size = kBlock) {
    world.hold_timers(true);
    std::vector<BlockId> ids;
    ids.reserve(number);
    for (std::size_t i = 0; i < number; ++i)
      ids.push_back(world.make_block(kA, kB, size));
    world.settle();
    std::ranges::sort(ids);
    return ids;
  }

  void alter(std::size_t at, const BlockId& id) {
    world.node(at).store.alter(KmeId(world.node(1 - at).name), id);
    ++m_altered;
  }

  // The ends dial again until nothing is found any more.
  void find_damage() {
    world.hold_timers(false);
    world.settle();
    for (; !world.connected(kA, kB); contact())
      ++m_reconnected;
  }

  BlockState state(std::size_t at, const BlockId& id) {
    return (*world.node(at).store.find_block(KmeId(at == kA ? "b" : "a"), id))->state;
  }

  bool is_gone(const BlockId& id) { return state(kA, id) >= BlockState::used && state(kB, id) >= BlockState::used; }

  Books books(std::size_t at) { return world.pool(at, 1 - at).books; }

  std::shared_ptr<Outcome> key(std::size_t master) {
    const auto enc = world.enc_keys(master, World::sae(master), World::sae(1 - master));
    world.settle();
    EXPECT_TRUE(enc->ok());
    return enc;
  }

  void expect_fetched(std::size_t master, const Outcome& enc) {
    EXPECT_TRUE(world.dec_keys(1 - master, World::sae(1 - master), World::sae(master), enc.ids())->ok());
  }

  void expect_keys() {
    for (const std::size_t master : {kA, kB})
      expect_fetched(master, *key(master));
  }

  // What was good is there at both ends, to the last slot.
  void expect_all_that_is_good(std::uint64_t octets) {
    EXPECT_EQ(reported("block_damaged"), m_altered);
    EXPECT_EQ(reported("lease_refused"), 0);
    EXPECT_EQ(books(kA).stock, books(kB).stock);
    for (const std::size_t at : {kA, kB})
      EXPECT_EQ(books(at).stock + books(at).leased, octets) << "at " << at;
  }

  int m_altered = 0;
  int m_reconnected = 0;
};

TEST_F(DamagedBlock, OfALeaseIsBurntAtBothEnds) {
  const std::vector<BlockId> ids = unleased_blocks();
  alter(kA, ids[0]);
  find_damage();
  expect_all_that_is_good(std::uint64_t{7} * kBlock);
  EXPECT_TRUE(is_gone(ids[0]));
  EXPECT_FALSE(is_gone(ids[1]));
  expect_keys();
}

TEST_F(DamagedBlock, NobodyLooksAtItBeforeItIsWanted) {
  const std::vector<BlockId> ids = unleased_blocks();
  alter(kA, ids[3]);
  find_damage();
  EXPECT_EQ(reported("block_damaged"), 0);
  EXPECT_EQ(m_reconnected, 0);
  EXPECT_EQ(books(kA).stock + books(kA).leased, std::uint64_t{8} * kBlock);
}

TEST_F(DamagedBlock, OfAPeersLeaseIsBurntAtBothEnds) {
  const std::vector<BlockId> ids = unleased_blocks();
  alter(kA, ids.back());  // where the higher id leases from
  find_damage();
  expect_all_that_is_good(std::uint64_t{7} * kBlock);
  EXPECT_TRUE(is_gone(ids.back()));
  expect_keys();
}

// One of many that a lease is made of: nothing of the others is lost, whoever finds it, and in whosever lease.
TEST_F(DamagedBlock, CostsNothingOfTheOthersInTheLease) {
  const std::vector<BlockId> ids = unleased_blocks(400, 256);
  alter(kA, ids[2]);                // in a's own lease
  alter(kB, ids[4]);                // likewise, at its opener
  alter(kA, ids[ids.size() - 3]);   // in b's lease, at its opener
  alter(kB, ids[ids.size() - 10]);  // in b's own lease
  find_damage();
  expect_all_that_is_good(std::uint64_t{396} * 256);
  expect_keys();
}

// The connection ends for damage that b finds while a's leases, which have part of the same block, are on their way.
TEST_F(DamagedBlock, CostsNothingOfALeaseThatIsOnItsWay) {
  const std::vector<BlockId> ids = unleased_blocks(4, 3 * kSlotSize);
  alter(kB, ids[2]);
  find_damage();
  EXPECT_EQ(m_reconnected, 1);
  expect_all_that_is_good(9 * std::uint64_t{kSlotSize});
}

TEST_F(DamagedBlock, LeavesKeysOfItThatWereLeasedBefore) {
  const std::vector<BlockId> ids = unleased_blocks(40, 5 * kSlotSize);
  find_damage();
  const BlockId& partly_leased = ids[4];
  alter(kB, partly_leased);
  std::vector<std::shared_ptr<Outcome>> issued;
  while (reported("block_damaged") == 0)
    issued.push_back(key(kA));
  find_damage();
  EXPECT_EQ(state(kB, partly_leased), BlockState::usable) << "as long as a lease on it is open";
  for (const auto& each : issued)
    expect_fetched(kA, *each);
  EXPECT_EQ(books(kA).stock, books(kB).stock);
  EXPECT_EQ(reported("lease_refused"), 0);
  expect_keys();
}

// All of a pool, down to the last block: it is empty then, and fills again.
TEST_F(DamagedBlock, AllOfAPoolIsBurntTogether) {
  for (const BlockId& id : unleased_blocks(200))
    alter(kA, id);
  find_damage();
  EXPECT_LE(m_reconnected, 2) << "each costs time";
  expect_all_that_is_good(0);
  stock();
  expect_keys();
}

}  // namespace
}  // namespace quipu::kms::sim
