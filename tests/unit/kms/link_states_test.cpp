// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/link_states.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace quipu::kms {
namespace {

using enum LinkStates::Reception;
using std::chrono::milliseconds;
using std::chrono::seconds;

const KmeId kOwn("kme-a");
const KmeId kOther("kme-b");

wire::LinkState state(const KmeId& origin, std::uint64_t sequence, std::uint8_t age_s = 0) {
  return {origin, sequence, age_s, true, {}};
}

// Whoever says that we were as far as a peer takes must not have us go beyond it: every peer would hang up.
TEST(LinkStates, ALieAboutTheOwnSequenceIsNotOutdone) {
  LinkStates states(kOwn);
  for (const std::uint64_t lie : {wire::kMaxSequence, wire::kMaxSequence - 1, wire::kMaxSequence / 2}) {
    EXPECT_EQ(states.receive(state(kOwn, lie), TimePoint{}), LinkStates::Reception::forged);
    states.publish(true, {}, TimePoint{});
    EXPECT_LT(states.find(kOwn)->sequence, 10U);
  }
}

// We went there once, as the last that is ours: who repeats that tells the truth.
TEST(LinkStates, TheOwnStateIsNoLieHoweverFarALieHasBroughtIt) {
  LinkStates states(kOwn);
  EXPECT_EQ(states.receive(state(kOwn, wire::kMaxSequence / 2 - 1), TimePoint{}), own_old);
  states.publish(true, {}, TimePoint{});
  ASSERT_EQ(states.find(kOwn)->sequence, wire::kMaxSequence / 2);
  EXPECT_EQ(states.receive(state(kOwn, wire::kMaxSequence / 2), TimePoint{}), same);
  EXPECT_EQ(states.receive(state(kOwn, wire::kMaxSequence / 2 + 1), TimePoint{}), forged);
}

TEST(LinkStates, ARestartedKmeGoesBeyondWhatItSaidBefore) {
  LinkStates states(kOwn);
  states.publish(false, {}, TimePoint{});
  EXPECT_EQ(states.receive(state(kOwn, 1'000), TimePoint{}), own_old);
  EXPECT_EQ(states.receive(state(kOwn, 900), TimePoint{}), own_old) << "what it is answered with has to be newer";
  states.publish(false, {}, TimePoint{});
  EXPECT_EQ(states.find(kOwn)->sequence, 1'001U);
  EXPECT_EQ(states.receive(state(kOwn, 1'000), TimePoint{}), older);
}

// The origin was restarted, and had not heard of its last when it spoke again: else some would keep what it said
// before.
TEST(LinkStates, OfTwoWithOneSequenceAllTakeTheSame) {
  const wire::LinkState before{kOther, 5, 3, false, {}};
  const wire::LinkState since{kOther, 5, 0, true, {}};
  LinkStates one(kOwn);
  LinkStates two(KmeId("kme-c"));
  EXPECT_EQ(one.receive(before, TimePoint{}), newer);
  EXPECT_EQ(two.receive(since, TimePoint{}), newer);
  const TimePoint later = TimePoint{} + kStateInterval;
  const LinkStates::Reception at_one = one.receive(since, later);
  const LinkStates::Reception at_two = two.receive(before, later);
  EXPECT_EQ(std::min(at_one, at_two), newer);
  EXPECT_EQ(std::max(at_one, at_two), older);
  EXPECT_EQ(*one.find(kOther), *two.find(kOther));
  EXPECT_EQ(one.receive(*two.find(kOther), later), same);
}

TEST(LinkStates, TheNewerOneOfAnOriginCountsUntilItIsTooOld) {
  LinkStates states(kOwn);
  EXPECT_EQ(states.receive(state(kOther, 5), TimePoint{}), newer);
  EXPECT_EQ(states.receive(state(kOther, 5), TimePoint{}), same);
  EXPECT_EQ(states.receive(state(kOther, 4), TimePoint{}), older);
  ASSERT_NE(states.find(kOther), nullptr);
  EXPECT_EQ(states.find(kOther)->sequence, 5U);
  states.age(TimePoint{} + kStateLifetime);
  EXPECT_EQ(states.find(kOther), nullptr);
}

// One of them was lost in time, or else who floods states would have all others flood them too.
TEST(LinkStates, OfOneOriginTheNewestOfEachSecondCounts) {
  LinkStates states(kOwn);
  EXPECT_EQ(states.receive(state(kOther, 1), TimePoint{}), newer);
  for (std::uint64_t sequence = 2; sequence < 100; ++sequence)
    EXPECT_EQ(states.receive(state(kOther, sequence), TimePoint{} + milliseconds(10)), waiting);
  EXPECT_EQ(states.receive(state(kOther, 50), TimePoint{} + milliseconds(20)), waiting) << "who has 50 wants no 1";
  EXPECT_EQ(states.find(kOther)->sequence, 1U);
  EXPECT_TRUE(states.take_waiting(TimePoint{} + milliseconds(999)).empty());
  EXPECT_EQ(states.next_deadline(), TimePoint{} + kStateInterval);
  EXPECT_EQ(states.take_waiting(TimePoint{} + kStateInterval), std::vector{kOther});
  EXPECT_EQ(states.find(kOther)->sequence, 99U);
  EXPECT_EQ(states.next_deadline(), std::nullopt);
}

// Handed on from one KME to the next it lives no longer than where it was first.
TEST(LinkStates, AgeGoesWithAStateWhereverItIsSent) {
  LinkStates first(kOwn);
  EXPECT_EQ(first.receive(state(kOther, 5, 20), TimePoint{}), newer);
  const auto sent = first.aged(kOther, TimePoint{} + milliseconds(29'100));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->age_s, 50);
  LinkStates second(KmeId("kme-c"));
  EXPECT_EQ(second.receive(*sent, TimePoint{}), newer);
  second.age(TimePoint{} + seconds(9));
  EXPECT_NE(second.find(kOther), nullptr);
  second.age(TimePoint{} + seconds(10));
  EXPECT_EQ(second.find(kOther), nullptr);
  EXPECT_EQ(first.aged(kOther, TimePoint{} + seconds(41)), std::nullopt);
  EXPECT_EQ(second.receive(state(kOther, 5, 60), TimePoint{}), no_room);
}

}  // namespace
}  // namespace quipu::kms
