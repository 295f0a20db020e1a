// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/link_states.h"

#include <gtest/gtest.h>

namespace quipu::kms {
namespace {

using enum LinkStates::Reception;

const KmeId kOwn("kme-a");

// Whoever says that we were as far as a peer takes must not have us go beyond it: every peer would hang up.
TEST(LinkStates, ALieAboutTheOwnSequenceIsNotOutdone) {
  LinkStates states(kOwn);
  for (const std::uint64_t lie : {wire::kMaxSequence, wire::kMaxSequence - 1, wire::kMaxSequence / 2 + 1}) {
    EXPECT_EQ(states.receive({kOwn, lie, true, {}}, TimePoint{}), same);
    EXPECT_LT(states.publish(true, {}, TimePoint{}).sequence, 10U);
  }
}

TEST(LinkStates, ARestartedKmeGoesBeyondWhatItSaidBefore) {
  LinkStates states(kOwn);
  states.publish(false, {}, TimePoint{});
  EXPECT_EQ(states.receive({kOwn, 1'000, true, {}}, TimePoint{}), own_old);
  EXPECT_EQ(states.publish(false, {}, TimePoint{}).sequence, 1'001U);
  EXPECT_EQ(states.receive({kOwn, 1'000, true, {}}, TimePoint{}), older);
}

TEST(LinkStates, TheNewerOneOfAnOriginCountsUntilItIsTooOld) {
  LinkStates states(kOwn);
  const KmeId other("kme-b");
  EXPECT_EQ(states.receive({other, 5, true, {}}, TimePoint{}), newer);
  EXPECT_EQ(states.receive({other, 5, true, {}}, TimePoint{}), same);
  EXPECT_EQ(states.receive({other, 4, false, {}}, TimePoint{}), older);
  ASSERT_NE(states.find(other), nullptr);
  EXPECT_EQ(states.find(other)->sequence, 5U);
  states.age(TimePoint{} + kStateLifetime);
  EXPECT_EQ(states.find(other), nullptr);
}

}  // namespace
}  // namespace quipu::kms
