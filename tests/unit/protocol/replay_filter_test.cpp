// SPDX-License-Identifier: Apache-2.0
#include "protocol/replay_filter.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "support/fixed_rng.h"

namespace quipu::protocol {
namespace {

// What the filter stands for, written as slowly as its definition.
class SlowFilter {
 public:
  bool check(std::uint64_t n) const {
    if (m_seen.contains(n)) return false;
    return m_seen.empty() || n > *m_seen.rbegin() || *m_seen.rbegin() - n < ReplayFilter::kWindow;
  }

  void commit(std::uint64_t n) { m_seen.insert(n); }

  std::uint64_t next() const { return m_seen.empty() ? 0 : *m_seen.rbegin() + 1; }

 private:
  std::set<std::uint64_t> m_seen;
};

std::uint64_t below(crypto::Rng& rng, std::uint64_t bound) {
  std::array<std::uint8_t, 8> octets{};
  rng.fill(octets);
  return ByteReader(octets).u64() % bound;
}

bool take(ReplayFilter& filter, std::uint64_t n) {
  if (!filter.check(Counter(n))) return false;
  filter.commit(Counter(n));
  return true;
}

TEST(ReplayFilter, TakesEachCounterOnce) {
  ReplayFilter filter;
  for (const std::uint64_t n : {0U, 1U, 5U, 3U, 64U, 63U, 2U, 8191U})
    EXPECT_TRUE(take(filter, n)) << n;
  for (const std::uint64_t n : {0U, 1U, 2U, 3U, 5U, 63U, 64U, 8191U})
    EXPECT_FALSE(take(filter, n)) << n;
  EXPECT_TRUE(take(filter, 4));
}

TEST(ReplayFilter, WindowIs8192Wide) {
  ReplayFilter filter;
  ASSERT_TRUE(take(filter, 20000));
  EXPECT_FALSE(take(filter, 20000 - 8192));
  EXPECT_TRUE(take(filter, 20000 - 8191));
  EXPECT_FALSE(take(filter, 0));
}

TEST(ReplayFilter, CheckAloneChangesNothing) {
  ReplayFilter filter;
  ASSERT_TRUE(take(filter, 10));
  EXPECT_TRUE(filter.check(Counter(1'000'000)));
  EXPECT_EQ(filter.next(), Counter(11));
  EXPECT_TRUE(filter.check(Counter(9)));
  EXPECT_TRUE(take(filter, 9));
}

TEST(ReplayFilter, JumpsBeyondTheWholeWindow) {
  ReplayFilter filter;
  for (std::uint64_t n = 0; n < 9000; ++n)
    ASSERT_TRUE(take(filter, n));
  ASSERT_TRUE(take(filter, std::uint64_t{1} << 40));
  for (std::uint64_t back = 1; back < 8192; ++back)
    ASSERT_TRUE(take(filter, (std::uint64_t{1} << 40) - back)) << back;
  EXPECT_FALSE(take(filter, (std::uint64_t{1} << 40) - 8192));
}

// Walks of several characters: dense, with gaps, with jumps of about a window, and far back.
TEST(ReplayFilter, AgreesWithItsSlowDefinition) {
  test::SeededRng rng("replay walk");
  for (const std::uint64_t reach : {3U, 70U, 5000U, 8192U, 8300U, 20000U}) {
    ReplayFilter filter;
    SlowFilter slow;
    for (int step = 0; step < 6000; ++step) {
      const std::uint64_t base = filter.next().value();
      const std::uint64_t forward = below(rng, 50) == 0 ? reach : 3;
      const std::uint64_t back = below(rng, std::min(reach, base + 1));
      const std::uint64_t n = below(rng, 2) == 0 ? base + below(rng, forward) : base - back;
      ASSERT_EQ(filter.check(Counter(n)), slow.check(n)) << n << " after " << base;
      if (slow.check(n)) {
        filter.commit(Counter(n));
        slow.commit(n);
      }
      ASSERT_EQ(filter.next().value(), slow.next());
    }
  }
}

}  // namespace
}  // namespace quipu::protocol
