// SPDX-License-Identifier: Apache-2.0
#include "protocol/epochs.h"

#include <gtest/gtest.h>

namespace quipu::protocol {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{1000s};
constexpr TimePoint kFar = kNow + 100s;

struct EpochsTest : testing::Test {
  crypto::SystemRng rng;
  IndexTable indices;
  Epochs epochs;

  // An epoch with a keypair of its own index; returns the index by `local`.
  Epoch epoch(std::uint64_t order, bool confirmed, SessionIndex& local) {
    local = indices.allocate(PeerId(1), rng);
    SessionSecrets secrets{Secret<64>{}, {}, local, SessionIndex(1), true};
    return Epoch{
        std::make_shared<Keypair>(std::move(secrets)), true, confirmed, {}, Stamp(order), order, kNow, kFar, {}};
  }

  enum class Slot : std::uint8_t { current, previous, next, none };

  Slot slot_of(SessionIndex local) {
    const Epoch* found = epochs.find(local, kNow);
    if (found == nullptr) return Slot::none;
    if (found == epochs.current()) return Slot::current;
    return found == epochs.next() ? Slot::next : Slot::previous;
  }

  bool holds(SessionIndex local) { return epochs.find(local, kNow) != nullptr && indices.find(local).has_value(); }

  SessionIndex first;
  SessionIndex second;
  SessionIndex third;
};

TEST_F(EpochsTest, AnInstalledKeypairLeavesTheOldOneToReceive) {
  epochs.install(epoch(1, true, first), indices);
  epochs.install(epoch(2, false, second), indices);
  EXPECT_EQ(slot_of(second), Slot::current);
  EXPECT_EQ(slot_of(first), Slot::previous);
  EXPECT_EQ(epochs.find(first, kNow)->dies, kFar) << "it lives on until the new one is confirmed";
  epochs.confirm_current(kNow + 3s);
  EXPECT_EQ(epochs.find(first, kNow)->dies, kNow + 3s);
}

TEST_F(EpochsTest, AnUnconfirmedKeypairGivesWayAndPreviousStays) {
  epochs.install(epoch(1, true, first), indices);
  epochs.install(epoch(2, false, second), indices);
  epochs.install(epoch(3, false, third), indices);
  EXPECT_EQ(slot_of(third), Slot::current);
  EXPECT_EQ(slot_of(first), Slot::previous);
  EXPECT_FALSE(holds(second));
  EXPECT_EQ(indices.size(), 2U);
}

TEST_F(EpochsTest, TheFirstPacketMakesNextCurrent) {
  epochs.install(epoch(1, true, first), indices);
  epochs.set_next(epoch(2, false, second), indices);
  EXPECT_EQ(slot_of(second), Slot::next);
  EXPECT_TRUE(epochs.promote_next(3, kFar, kNow + 3s, indices));
  EXPECT_EQ(slot_of(second), Slot::current);
  EXPECT_TRUE(epochs.current()->confirmed);
  EXPECT_EQ(slot_of(first), Slot::previous);
  EXPECT_EQ(epochs.find(first, kNow)->dies, kNow + 3s);
}

// Crossing rule (b): what was accepted before the present current was installed is older than it.
TEST_F(EpochsTest, AnOlderNextOnlyReceives) {
  epochs.set_next(epoch(1, false, first), indices);
  epochs.install(epoch(2, false, second), indices);
  EXPECT_FALSE(epochs.promote_next(3, kFar, kNow + 3s, indices));
  EXPECT_EQ(slot_of(second), Slot::current);
  EXPECT_EQ(slot_of(first), Slot::next);
  EXPECT_TRUE(holds(first));
}

TEST_F(EpochsTest, WithoutACurrentAnyNextWillDo) {
  epochs.set_next(epoch(1, false, first), indices);
  EXPECT_TRUE(epochs.promote_next(2, kFar, kNow, indices));
  EXPECT_EQ(slot_of(first), Slot::current);
}

TEST_F(EpochsTest, ANewerNextReplacesTheOlderOneAndNeverCurrent) {
  epochs.install(epoch(1, true, first), indices);
  epochs.set_next(epoch(2, false, second), indices);
  epochs.set_next(epoch(3, false, third), indices);
  EXPECT_FALSE(holds(second));
  EXPECT_EQ(slot_of(first), Slot::current);
  EXPECT_EQ(slot_of(third), Slot::next);
}

TEST_F(EpochsTest, TheDeadAreErasedAndTheirIndexFreed) {
  epochs.install(epoch(1, true, first), indices);
  epochs.install(epoch(2, false, second), indices);
  epochs.confirm_current(kNow + 3s);
  EXPECT_EQ(epochs.next_deadline(), kNow + 3s);
  EXPECT_EQ(epochs.find(first, kNow + 3s), nullptr) << "dead even before it is erased";
  epochs.expire(kNow + 3s, indices);
  EXPECT_EQ(epochs.find(first, kNow), nullptr) << "erased";
  EXPECT_EQ(indices.size(), 1U);
  epochs.erase_all(indices);
  EXPECT_EQ(indices.size(), 0U);
}

}  // namespace
}  // namespace quipu::protocol
