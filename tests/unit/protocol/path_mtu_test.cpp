// SPDX-License-Identifier: Apache-2.0
#include "protocol/path_mtu.h"

#include <gtest/gtest.h>

#include <functional>

#include "protocol/timing.h"

namespace quipu::protocol {
namespace {

constexpr std::size_t kWanted = 1400;
constexpr Duration kWait = 250ms;

// A path under a PathMtu: probes are answered after 10 ms, or not at all.
class PathMtuTest : public testing::Test {
 protected:
  // Whether a probe is answered, by its size and how many there were before.
  std::function<bool(std::size_t size, int before)> m_carries = [](std::size_t, int) { return true; };

  void widen_to(std::size_t width) {
    m_carries = [width](std::size_t size, int) { return size <= width; };
  }

  void run(Duration time) {
    const TimePoint end = m_now + time;
    while (m_path.next_deadline() <= end) {
      m_now = std::max(m_now, m_path.next_deadline());
      const auto probe = m_path.advance(m_now, kWait);
      if (!probe) continue;
      m_sizes.push_back(probe->size);
      if (m_carries(probe->size, m_probes++)) m_path.answered(probe->id, m_now += 10ms);
    }
    m_now = end;
  }

  TimePoint m_now{1000s};
  PathMtu m_path{kWanted};
  std::vector<std::size_t> m_sizes;
  int m_probes = 0;
};

TEST_F(PathMtuTest, AWidePathTakesOneProbe) {
  EXPECT_EQ(m_path.limit(), kWanted);
  m_path.begin(m_now);
  run(29s);
  EXPECT_EQ(m_sizes, std::vector<std::size_t>{kWanted});
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, EveryWidthIsFoundToTheStep) {
  for (std::size_t width = kBasePathMtu; width <= kWanted; ++width) {
    m_path = PathMtu(kWanted);
    widen_to(width);
    m_path.begin(m_now);
    run(15s);
    EXPECT_LE(m_path.limit(), width);
    EXPECT_GT(m_path.limit() + kPathMtuStep, width);
  }
}

TEST_F(PathMtuTest, TheLimitFallsToTheBaseBeforeTheSearch) {
  widen_to(1300);
  m_path.begin(m_now);
  run(3 * kWait + 10ms);
  EXPECT_EQ(m_sizes, (std::vector<std::size_t>{kWanted, kWanted, kWanted, kBasePathMtu, kWanted}));
  EXPECT_EQ(m_path.limit(), kBasePathMtu);
}

TEST_F(PathMtuTest, SingleLossesChangeNothing) {
  m_carries = [](std::size_t, int before) { return before % 3 == 2; };
  m_path.begin(m_now);
  run(29s);
  EXPECT_EQ(m_sizes, std::vector<std::size_t>(3, kWanted));
  EXPECT_EQ(m_path.limit(), kWanted);
  widen_to(1300);
  m_carries = [](std::size_t size, int before) { return size <= 1300 && before % 2 == 1; };
  run(60s);
  EXPECT_GT(m_path.limit() + kPathMtuStep, 1300U);
}

TEST_F(PathMtuTest, ThreeLossesOfAWidePathAreMadeGoodAtOnce) {
  m_carries = [](std::size_t, int before) { return before >= 3; };
  m_path.begin(m_now);
  run(2s);
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, APathThatCarriesNothingKeepsItsLimit) {
  widen_to(0);
  m_path.begin(m_now);
  run(120s);
  EXPECT_EQ(m_path.limit(), kWanted);
  EXPECT_LE(m_sizes.size(), 24U) << "six each 30 s";
}

TEST_F(PathMtuTest, ABlackHoleIsFoundWithinTheConfirmationTime) {
  m_path.begin(m_now);
  run(kPathConfirm / 2);
  widen_to(1250);
  run(kPathConfirm / 2 + 4 * kWait);
  EXPECT_LE(m_path.limit(), 1250U);
  run(10s);
  EXPECT_GT(m_path.limit() + kPathMtuStep, 1250U);
}

TEST_F(PathMtuTest, APathThatWidensIsUsedAfterTheRaiseTime) {
  widen_to(1250);
  m_path.begin(m_now);
  run(20s);
  const std::size_t narrow = m_path.limit();
  widen_to(1350);
  run(kPathRaise - 60s);
  EXPECT_EQ(m_path.limit(), narrow);
  run(120s);
  EXPECT_LE(m_path.limit(), 1350U);
  EXPECT_GT(m_path.limit() + kPathMtuStep, 1350U);
  widen_to(kWanted);
  run(kPathRaise + 60s);
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, AnotherPathIsSearchedAtOnce) {
  widen_to(1250);
  m_path.begin(m_now);
  run(20s);
  widen_to(kWanted);
  m_path.begin(m_now);
  run(1s);
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, OnlyTheAnswerToThePresentProbeCounts) {
  m_path.begin(m_now);
  const auto first = m_path.advance(m_now, kWait);
  ASSERT_TRUE(first);
  m_path.answered(first->id + 1, m_now);
  m_path.begin(m_now);
  m_path.answered(first->id, m_now);
  EXPECT_EQ(m_path.next_deadline(), m_now) << "still waits for the second";
  const auto second = m_path.advance(m_now, kWait);
  ASSERT_TRUE(second);
  m_path.answered(second->id, m_now);
  EXPECT_EQ(m_path.next_deadline(), m_now + kPathConfirm);
}

TEST_F(PathMtuTest, BelowTheBaseNothingIsSearched) {
  m_path = PathMtu(1000);
  widen_to(900);
  m_path.begin(m_now);
  run(10s);
  EXPECT_EQ(m_sizes, std::vector<std::size_t>(3, 1000));
  EXPECT_EQ(m_path.limit(), 1000U);
}

}  // namespace
}  // namespace quipu::protocol
