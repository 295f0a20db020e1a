// SPDX-License-Identifier: Apache-2.0
#include "kms/ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace quipu::kms {
namespace {

TEST(RangeSet, JoinsWhatTouchesOrOverlaps) {
  RangeSet set;
  set.add({64, 32});
  set.add({0, 32});
  EXPECT_EQ(set.ranges().size(), 2U);
  set.add({32, 32});
  EXPECT_EQ(set.ranges(), (std::vector<Range>{{0, 96}}));
  set.add({16, 200});
  EXPECT_EQ(set.ranges(), (std::vector<Range>{{0, 216}}));
  set.add({300, 0});
  EXPECT_EQ(set.size(), 216U);
}

TEST(RangeSet, RemoveSplits) {
  RangeSet set({{0, 100}});
  set.remove({40, 20});
  EXPECT_EQ(set.ranges(), (std::vector<Range>{{0, 40}, {60, 40}}));
  EXPECT_FALSE(set.covers({30, 40}));
  EXPECT_FALSE(set.overlaps({40, 20}));
  EXPECT_TRUE(set.overlaps({59, 2}));
}

// Against one flag per octet.
TEST(RangeSet, AgreesWithABitmap) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    RangeSet set;
    std::vector<bool> bits(64);
    for (int step = 0; step < 12; ++step) {
      const Range range{static_cast<std::uint32_t>(random() % 60), static_cast<std::uint32_t>(random() % 5)};
      const bool value = random() % 3 != 0;
      value ? set.add(range) : set.remove(range);
      for (std::uint32_t i = range.offset; i < range.end(); ++i)
        bits[i] = value;
    }
    RangeSet gaps;
    for (const Range gap : set.missing_from({0, 64}))
      gaps.add(gap);
    for (std::uint32_t i = 0; i < 64; ++i) {
      EXPECT_EQ(set.covers({i, 1}), bits[i]);
      EXPECT_EQ(set.overlaps({i, 1}), bits[i]);
      EXPECT_EQ(gaps.covers({i, 1}), !bits[i]);
    }
    EXPECT_EQ(set.size() + gaps.size(), 64U);
    const auto length = static_cast<std::uint32_t>(1 + random() % 8);
    for (std::uint32_t i = 0; i + length <= 64; ++i) {
      const auto begin = bits.begin() + i;
      EXPECT_EQ(set.covers({i, length}), std::count(begin, begin + length, true) == length);
      EXPECT_EQ(set.overlaps({i, length}), std::count(begin, begin + length, true) != 0);
    }
    RangeSet both = set;
    both.add(gaps);
    EXPECT_EQ(both.ranges(), (std::vector<Range>{{0, 64}}));
    std::vector<Range> shuffled = set.ranges();
    std::ranges::shuffle(shuffled, random);
    EXPECT_EQ(RangeSet(shuffled), set);
    // Apart, as the KM link wants them.
    for (std::size_t i = 1; i < set.ranges().size(); ++i)
      EXPECT_GT(set.ranges()[i].offset, set.ranges()[i - 1].end());
  }
}

}  // namespace
}  // namespace quipu::kms
