// SPDX-License-Identifier: Apache-2.0
// Inventories of a peer KME that is authenticated and means harm: what they cost, and for how long.
#include <malloc.h>

#include <functional>

#include "sim/kms/scripted_peer.h"

namespace quipu::kms::sim {
namespace {

constexpr std::size_t kMaxRanges = std::size_t{1} << 20;            // of one inventory
constexpr std::size_t kMostChanges = 256;                           // of one transaction
constexpr std::size_t kMostRanges = kMaxBlockSize / kSlotSize / 2;  // of one block

class HostileInventory : public ScriptedPeer {
 protected:
  static Uuid numbered(std::uint32_t n) {
    Uuid id;
    ByteWriter(id.octets).u32(n);
    return id;
  }

  // Up to where the lists are expected.
  void differ() {
    closed = false;
    const auto* hello = last<wire::Hello>();
    ASSERT_NE(hello, nullptr);
    const wire::Nonce theirs = hello->nonce;
    say(wire::Hello{wire::kVersion, KmeId("b"), KmeId("a"), instance, {}});
    say(wire::Contact{theirs, {1}});
    ASSERT_FALSE(closed);
  }

  // With as many spent ranges as can be apart.
  void list_block(std::uint32_t number, std::size_t ranges = kMostRanges) {
    wire::InventoryBlock block{BlockId(numbered(number)), BlockState::usable, {}, kMaxBlockSize, {}};
    for (std::uint32_t i = 0; i < ranges; ++i)
      block.spent.push_back({2 * i * kSlotSize, kSlotSize});
    say(wire::InventoryBlocks{{std::move(block)}});
  }

  void list_lease(std::uint32_t number) {
    wire::InventoryLease lease{LeaseId(numbered(number)), Holder::us, instance, false, {}};
    for (std::uint32_t i = 0; i < kMaxLeaseSlots; ++i)
      lease.extents.push_back({BlockId(numbered(i)), {0, kSlotSize}});
    say(wire::InventoryLeases{{std::move(lease)}});
  }

  void list_unknown_blocks(std::uint32_t count) {
    wire::InventoryBlocks part;
    for (std::uint32_t n = 1; n <= count; ++n) {
      part.blocks.push_back({BlockId(numbered(n)), BlockState::usable, {}, kSlotSize, {}});
      if (part.blocks.size() == 2'000 || n == count) say(std::exchange(part, {}));
    }
  }
};

TEST_F(HostileInventory, ListsSoManyRangesAndNoMore) {
  differ();
  std::size_t listed = 0;
  for (std::uint32_t n = 1; listed < kMaxRanges / 2; listed += kMostRanges)
    list_block(n++);
  for (std::uint32_t n = 1; listed < kMaxRanges; listed += kMaxLeaseSlots)
    list_lease(n++);
  EXPECT_FALSE(closed);
  list_block(1'000'000, 1);
  expect_goodbye(wire::GoodbyeReason::violation);
}

TEST_F(HostileInventory, ListsNoMoreThanThatManyRangesInLeases) {
  differ();
  for (std::uint32_t n = 1; n <= kMaxRanges / kMaxLeaseSlots; ++n)
    list_lease(n);
  EXPECT_FALSE(closed);
  list_lease(1'000'000);
  expect_goodbye(wire::GoodbyeReason::violation);
}

TEST_F(HostileInventory, ListsNoMoreBlocksThanAPoolHolds) {
  differ();
  list_unknown_blocks(kMaxPoolBlocks);
  EXPECT_FALSE(closed);
  list_block(1'000'000);
  expect_goodbye(wire::GoodbyeReason::violation);
}

// However the connection ended.
TEST_F(HostileInventory, IsForgottenWithItsConnection) {
  const auto in_use = [] { return ::mallinfo2().uordblks; };
  const std::size_t without = in_use();
  const std::vector<char> known(10'000);
  if (in_use() < without + known.size()) GTEST_SKIP() << "this heap does not tell what is in use (a sanitizer's)";
  const std::vector<std::function<void()>> ends{
      [&] { take(kme->link_disconnected(kLink, "cut", now)); },
      [&] { say(wire::InventoryEnd{0, 0}); },                      // a violation
      [&] { take(kme->link_received(kLink, Bytes{0x7f}, now)); },  // another one
      [&] { say(wire::Goodbye{wire::GoodbyeReason::replaced}); },
      [&] { now += std::chrono::seconds(30); },  // no contact in time
  };
  for (std::size_t end = 0; end < ends.size(); ++end) {
    differ();
    const std::size_t before = in_use();
    for (std::uint32_t n = 1; n <= 256; ++n) {
      list_block(n);
      list_lease(n);
    }
    const std::size_t listed = in_use();
    ASSERT_GT(listed, before + 4'000'000);
    ends[end]();
    take(kme->handle_timeout(now));
    EXPECT_EQ(pool().link, LinkState::down);
    EXPECT_LT(in_use(), before + 100'000) << "end " << end;
    take(kme->link_connected(kLink, KmeId("b"), now));
  }
}

// Of blocks that are not known here, what the store would drop in the same breath is not written first. What is written
// takes many transactions, between which other events are served.
TEST_F(HostileInventory, WritesNoMoreVoidRecordsThanAreKept) {
  constexpr std::uint32_t kListed = 2 * kMaxLostBlocks;
  contact();
  // The last ones have their records from before.
  constexpr std::uint32_t kKnown = 100;
  wire::VoidRequest request;
  for (std::uint32_t n = kListed - kKnown + 1; n <= kListed; ++n)
    request.blocks.push_back({BlockId(numbered(n)), {}, kSlotSize});
  ASSERT_TRUE(ask<wire::BlockStates>(std::move(request)));
  take(kme->link_disconnected(kLink, "cut", now));
  take(kme->link_connected(kLink, KmeId("b"), now));
  differ();
  list_unknown_blocks(kListed);
  const std::size_t before = store.changes();
  std::size_t parts = 1;
  say(wire::InventoryEnd{kListed, 0});
  for (; last<wire::Merged>() == nullptr; ++parts) {
    ASSERT_EQ(kme->next_deadline(), now);
    const std::size_t so_far = store.changes();
    take(kme->handle_timeout(now));
    ASSERT_LE(store.changes() - so_far, kMostChanges);
  }
  EXPECT_GT(parts, 1U);
  EXPECT_LE(store.changes() - before, kMaxLostBlocks + 2 * parts);  // each with Trim and Books
  // Kept is what would be if all had been written.
  const auto kept = store.disk().at(KmeId("b")).blocks;
  ASSERT_EQ(kept.size(), kMaxLostBlocks);
  EXPECT_EQ(kept.begin()->first, BlockId(numbered(kListed - kMaxLostBlocks + 1)));
  EXPECT_EQ(kept.rbegin()->first, BlockId(numbered(kListed)));
}

}  // namespace
}  // namespace quipu::kms::sim
