// SPDX-License-Identifier: Apache-2.0
#include "protocol/lane_path.h"

#include <gtest/gtest.h>

#include "protocol/timing.h"

namespace quipu::protocol {
namespace {

constexpr TimePoint kStart{1000s};

struct LanePathTest : testing::Test {
  // To the next thing that it wants to do, which is a probe.
  std::optional<std::uint32_t> next_probe() {
    const auto due = path.next_deadline();
    if (!due) return std::nullopt;
    now = std::max(now, *due);
    return path.advance(now);
  }

  void bring_up() {
    path.want();
    path.answered(*next_probe(), now);
    ASSERT_TRUE(path.carries());
  }

  TimePoint now = kStart;
  LanePath path;
};

TEST_F(LanePathTest, CarriesNothingBeforeAProbeWasAnswered) {
  EXPECT_FALSE(path.carries());
  EXPECT_FALSE(next_probe()) << "nobody wants it";
  path.want();
  const auto id = next_probe();
  ASSERT_TRUE(id);
  EXPECT_EQ(now, kStart);
  EXPECT_FALSE(path.carries());
  path.answered(*id + 1, now);
  EXPECT_FALSE(path.carries()) << "an answer to something else";
  path.answered(*id, now);
  EXPECT_TRUE(path.carries());
}

TEST_F(LanePathTest, ALostProbeIsSentAgain) {
  path.want();
  const auto id = next_probe();
  EXPECT_EQ(next_probe(), id) << "any copy's answer counts";
  EXPECT_EQ(now, kStart + kLaneProbeWait);
  path.answered(*id, now);
  EXPECT_TRUE(path.carries());
}

TEST_F(LanePathTest, IsProbedAgainOnlyWhileItIsUsed) {
  bring_up();
  path.want();
  EXPECT_TRUE(next_probe());
  EXPECT_EQ(now, kStart + kLaneConfirm);
  EXPECT_TRUE(path.carries()) << "until it is known not to";
}

TEST_F(LanePathTest, IsNotBelievedForLongWhileNothingIsSent) {
  bring_up();
  EXPECT_FALSE(next_probe());
  EXPECT_EQ(now, kStart + kLaneForgotten);
  EXPECT_FALSE(path.carries());
  EXPECT_FALSE(path.next_deadline());
}

TEST_F(LanePathTest, IsGivenUpWithoutAnAnswerAndTriedAgainLater) {
  bring_up();
  path.want();
  ASSERT_TRUE(next_probe());
  const TimePoint probed = now;
  while (now < probed + kLaneDeadline)
    next_probe();
  EXPECT_FALSE(path.carries());
  EXPECT_FALSE(path.next_deadline()) << "nobody has wanted it since";
  path.want();
  EXPECT_TRUE(next_probe());
  EXPECT_EQ(now, probed + kLaneDeadline + kLaneRetry);
}

TEST_F(LanePathTest, AnAnswerThatComesTooLateMeansNothing) {
  path.want();
  const auto id = next_probe();
  while (path.next_deadline())
    next_probe();
  path.answered(*id, now);
  EXPECT_FALSE(path.carries());
}

}  // namespace
}  // namespace quipu::protocol
