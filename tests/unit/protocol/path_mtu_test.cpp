// SPDX-License-Identifier: Apache-2.0
#include "protocol/path_mtu.h"

#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <queue>

namespace quipu::protocol {
namespace {

constexpr std::size_t kWanted = 1400;

// A path under a PathMtu, in virtual time.
class PathMtuTest : public testing::Test {
 protected:
  // Whether a probe is answered, by its size and how many there were before.
  std::function<bool(std::size_t size, int before)> m_carries = [](std::size_t, int) { return true; };

  void widen_to(std::size_t width) {
    m_carries = [width](std::size_t size, int) { return size <= width; };
  }

  void restart(std::size_t wanted = kWanted) {
    m_path = PathMtu(wanted);
    m_answers = {};
    m_sizes.clear();
    m_lowest = wanted;
    m_path.begin(m_now);
  }

  void run(Duration time) {
    const TimePoint end = m_now + time;
    for (;;) {
      if (m_in_use) m_path.use();
      const TimePoint probe_at = m_path.next_deadline().value_or(TimePoint::max());
      const TimePoint answer_at = m_answers.empty() ? TimePoint::max() : m_answers.front().first;
      if (std::min(probe_at, answer_at) > end) break;
      m_now = std::max(m_now, std::min(probe_at, answer_at));
      if (answer_at <= probe_at)
        take_answer();
      else if (const auto probe = m_path.advance(m_now))
        take(*probe);
      m_lowest = std::min(m_lowest, m_path.limit());
    }
    m_now = end;
  }

  void expect_width(std::size_t width) const {
    EXPECT_LE(m_path.limit(), width);
    EXPECT_GT(m_path.limit() + kPathMtuStep, width);
  }

  TimePoint m_now{1000s};
  Duration m_rtt = 10ms;
  bool m_in_use = true;  // packets are there at all times
  PathMtu m_path{kWanted};
  std::vector<std::size_t> m_sizes;
  std::size_t m_lowest = kWanted;  // limit

 private:
  void take(const PathMtu::Probe& probe) {
    const int before = static_cast<int>(m_sizes.size());
    m_sizes.push_back(probe.size);
    if (m_carries(probe.size, before)) m_answers.emplace(m_now + m_rtt, probe.id);
  }

  void take_answer() {
    m_path.answered(m_answers.front().second, m_now);
    m_answers.pop();
  }

  std::queue<std::pair<TimePoint, std::uint32_t>> m_answers;
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
    widen_to(width);
    restart();
    run(29s);
    expect_width(width);
  }
}

TEST_F(PathMtuTest, WhatIsInUseIsGivenUpAfterSixMissesAndThenSoughtAnew) {
  widen_to(1300);
  m_path.begin(m_now);
  run(6 * (kPathProbeWait + m_rtt));
  std::vector<std::size_t> expected;
  for (int i = 0; i < 6; ++i)
    expected.insert(expected.end(), {kWanted, kBasePathMtu});
  expected.push_back(kWanted);
  EXPECT_EQ(m_sizes, expected);
  EXPECT_EQ(m_path.limit(), kBasePathMtu);
}

TEST_F(PathMtuTest, ASingleLossChangesNothing) {
  for (const std::size_t width : {std::size_t{1300}, kWanted})
    for (int lost = 0; lost < 40; ++lost) {
      m_carries = [=](std::size_t size, int before) { return size <= width && before != lost; };
      restart();
      run(35s);
      expect_width(width);
      EXPECT_TRUE(width < kWanted || m_lowest == kWanted) << lost;
    }
}

// Of the wanted size, whatever becomes of the base; and of the first eight probes, any.
TEST_F(PathMtuTest, ThreeLossesDoNotNarrowAWidePath) {
  int large = 0;
  m_carries = [&large](std::size_t size, int) { return size <= kBasePathMtu || ++large > 3; };
  restart();
  run(29s);
  EXPECT_EQ(m_lowest, kWanted);
  for (unsigned lost = 0; lost < 256; ++lost) {
    if (std::popcount(lost) != 3) continue;
    m_carries = [lost](std::size_t, int before) { return before >= 8 || ((lost >> before) & 1U) == 0; };
    restart();
    run(29s);
    EXPECT_EQ(m_lowest, kWanted) << lost;
    EXPECT_EQ(m_sizes.back(), kWanted) << lost;
  }
}

TEST_F(PathMtuTest, ALossyPathKeepsItsWidth) {
  m_carries = [](std::size_t, int before) { return before % 3 == 2; };
  m_path.begin(m_now);
  run(120s);
  EXPECT_EQ(m_lowest, kWanted);
}

// At every moment of the confirmation and of the search: the width is found once the path is up again, and not only
// when the next search is due.
TEST_F(PathMtuTest, AnOutageAtAnyMomentDoesNotPinTheLimit) {
  constexpr Duration kLengths[] = {600ms, 1500ms, 3500ms, 7s, 20s};
  for (const std::size_t width : {kBasePathMtu, std::size_t{1300}, std::size_t{1395}, kWanted})
    for (const Duration length : kLengths)
      for (Duration begins{}; begins < 30s; begins += 230ms) {
        const TimePoint down = m_now + begins;
        const TimePoint up = down + length;
        m_carries = [=, this](std::size_t size, int) { return size <= width && (m_now < down || m_now >= up); };
        restart();
        run(begins + length + 60s);
        expect_width(width);
        EXPECT_TRUE(width < kWanted || m_lowest == kWanted);
      }
}

TEST_F(PathMtuTest, ALongRoundTripIsNoLoss) {
  for (const Duration rtt : std::initializer_list<Duration>{760ms, 1100ms, 1500ms, 2500ms, 4s}) {
    m_rtt = rtt;
    widen_to(kWanted);
    restart();
    run(29s);
    EXPECT_EQ(m_lowest, kWanted);
    EXPECT_LE(m_sizes.size(), 6U);
    widen_to(1300);
    restart();
    run(60s + 60 * rtt);
    expect_width(1300);
  }
}

TEST_F(PathMtuTest, ALateAnswerToWhatWasGivenUpCounts) {
  m_path.begin(m_now);
  const auto wanted = m_path.advance(m_now);
  ASSERT_TRUE(wanted);
  while (m_path.limit() == kWanted) {
    const auto probe = m_path.advance(m_now += kPathProbeWait);
    ASSERT_TRUE(probe);
    if (probe->size == kBasePathMtu) m_path.answered(probe->id, m_now);
    if (probe->size == kWanted) m_sizes.push_back(probe->id);
  }
  m_path.answered(static_cast<std::uint32_t>(m_sizes.back()), m_now);
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, ALateAnswerCountsAfterTheSearch) {
  widen_to(1300);
  m_path.begin(m_now);
  run(29s);
  const std::size_t last = m_sizes.end()[-2];  // and then the base
  ASSERT_GT(last, m_path.limit());
  m_path.answered(static_cast<std::uint32_t>(m_sizes.size() - 1), m_now);
  EXPECT_EQ(m_path.limit(), last);
}

// It says nothing of what was sent after it.
TEST_F(PathMtuTest, ALateAnswerToTheBaseIsNoMiss) {
  m_path.begin(m_now);
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 4; ++i, m_now += kPathProbeWait)
    ids.push_back(m_path.advance(m_now)->id);
  m_now -= 10ms;
  const auto due = m_path.next_deadline();
  m_path.answered(ids[1], m_now);
  EXPECT_EQ(m_path.next_deadline(), due);
  m_path.answered(ids[3], m_now);
  EXPECT_EQ(m_path.next_deadline(), m_now);
}

TEST_F(PathMtuTest, SilencesBetweenMissesDoNotHideANarrowPath) {
  m_carries = [bases = 0](std::size_t size, int) mutable {
    return size <= 1300 && (size > kBasePathMtu || ++bases % 2);
  };
  m_path.begin(m_now);
  run(60s);
  expect_width(1300);
}

TEST_F(PathMtuTest, AnOutageDuringALaterSearchDoesNotPinTheLimit) {
  widen_to(1350);
  m_path.begin(m_now);
  run(60s);
  widen_to(1250);
  while (m_path.limit() > 1250)
    run(100ms);
  widen_to(0);
  run(20s);
  widen_to(1250);
  run(60s);
  expect_width(1250);
}

TEST_F(PathMtuTest, APathThatCarriesNothingKeepsItsLimit) {
  widen_to(0);
  m_path.begin(m_now);
  run(120s);
  EXPECT_EQ(m_path.limit(), kWanted);
  EXPECT_LE(m_sizes.size(), 24U) << "six each 30 s";
}

TEST_F(PathMtuTest, APathBelowTheBaseIsTakenForOneThatIsDown) {
  widen_to(kBasePathMtu - 1);
  m_path.begin(m_now);
  run(120s);
  EXPECT_EQ(m_lowest, kWanted);
}

TEST_F(PathMtuTest, ABlackHoleIsFoundWithinTheConfirmationTime) {
  m_path.begin(m_now);
  run(kPathConfirm / 2);
  widen_to(1250);
  run(kPathConfirm / 2 + 7 * kPathProbeWait);
  EXPECT_LE(m_path.limit(), 1250U);
  run(29s);
  expect_width(1250);
}

TEST_F(PathMtuTest, APathThatWidensIsUsedAfterTheRaiseTime) {
  widen_to(1250);
  m_path.begin(m_now);
  run(29s);
  const std::size_t narrow = m_path.limit();
  widen_to(1350);
  run(kPathRaise - 60s);
  EXPECT_EQ(m_path.limit(), narrow);
  run(120s);
  expect_width(1350);
  widen_to(kWanted);
  run(kPathRaise + 60s);
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, AnotherPathIsSearchedAtOnce) {
  widen_to(1250);
  m_path.begin(m_now);
  run(29s);
  widen_to(kWanted);
  m_path.begin(m_now);
  run(1s);
  EXPECT_EQ(m_path.limit(), kWanted);
}

TEST_F(PathMtuTest, WhatNoPacketNeedsIsNotConfirmedAgain) {
  m_in_use = false;
  m_path.begin(m_now);
  run(3600s);
  EXPECT_EQ(m_sizes.size(), 1U);
  EXPECT_EQ(m_path.next_deadline(), std::nullopt);
  m_path.use();
  run(3600s);
  EXPECT_EQ(m_sizes.size(), 2U);
}

TEST_F(PathMtuTest, AnswersAboutAnotherPathMeanNothing) {
  m_path.begin(m_now);
  const auto first = m_path.advance(m_now);
  ASSERT_TRUE(first);
  m_path.answered(first->id + 1, m_now);
  m_path.begin(m_now);
  m_path.answered(first->id, m_now);
  EXPECT_EQ(m_path.next_deadline(), m_now) << "still waits for the second";
  m_path.answered(0, m_now);
  const auto second = m_path.advance(m_now);
  ASSERT_TRUE(second);
  EXPECT_EQ(m_path.next_deadline(), m_now + kPathProbeWait);
  m_path.answered(second->id, m_now);
  m_path.use();
  EXPECT_EQ(m_path.next_deadline(), m_now + kPathConfirm);
}

TEST_F(PathMtuTest, BelowTheBaseNothingIsSearched) {
  widen_to(900);
  restart(1000);
  run(10s);
  EXPECT_EQ(m_sizes, std::vector<std::size_t>(3, 1000));
  EXPECT_EQ(m_path.limit(), 1000U);
}

}  // namespace
}  // namespace quipu::protocol
