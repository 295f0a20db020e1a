// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/health_tests.h"

#include <gtest/gtest.h>

#include <cmath>

namespace quipu::kms {
namespace {

constexpr double kEntropy = 4;           // bits in a sample, at least
constexpr double kFalseAlarm = 0x1p-30;  // probability

// That more than `count` of a window are the likeliest sample.
double tail(unsigned count) {
  const double p = std::exp2(-kEntropy);
  double sum = 0;
  for (unsigned k = kProportionWindow; k > count; --k)
    sum +=
        std::exp(std::lgamma(kProportionWindow + 1.0) - std::lgamma(k + 1.0) -
                 std::lgamma(kProportionWindow - k + 1.0) + k * std::log(p) + (kProportionWindow - k) * std::log1p(-p));
  return sum;
}

// SP 800-90B: C = 1 + ceil(-log2(alpha) / H), and C = 1 + CRITBINOM(W, 2^-H, 1 - alpha).
TEST(HealthTests, TheCutoffsFollowFromWhatIsAssumed) {
  EXPECT_EQ(kRepetitionCutoff, 1 + std::ceil(-std::log2(kFalseAlarm) / kEntropy));
  EXPECT_LE(tail(kProportionCutoff - 1), kFalseAlarm);
  EXPECT_GT(tail(kProportionCutoff - 2), kFalseAlarm);
}

TEST(HealthTests, TheNinthEqualSampleInARowFails) {
  HealthTests tests;
  for (int round = 0; round < 3; ++round) {
    for (unsigned i = 1; i < kRepetitionCutoff; ++i)
      EXPECT_TRUE(tests.passes(7));
    EXPECT_TRUE(tests.passes(8));
  }
  for (unsigned i = 1; i < kRepetitionCutoff; ++i)
    EXPECT_TRUE(tests.passes(0));
  EXPECT_FALSE(tests.passes(0));
}

// Every fourth sample is the first one of the window, and no two in a row are equal.
TEST(HealthTests, The71stOfAWindowThatIsLikeItsFirstFails) {
  HealthTests tests;
  const auto sample = [](unsigned i) { return static_cast<std::uint8_t>(i % 4 == 0 ? 0 : 1 + i % 251); };
  const unsigned seventieth = 4 * (kProportionCutoff - 2);
  for (unsigned i = 0; i <= seventieth; ++i)
    EXPECT_TRUE(tests.passes(sample(i))) << i;
  HealthTests next_window = tests;
  for (unsigned i = seventieth + 1; i < seventieth + 4; ++i)
    EXPECT_TRUE(tests.passes(sample(i))) << i;
  EXPECT_FALSE(tests.passes(0));
  // In the next window they are counted anew.
  for (unsigned i = seventieth + 1; i < kProportionWindow; ++i)
    EXPECT_TRUE(next_window.passes(static_cast<std::uint8_t>(1 + i % 251))) << i;
  EXPECT_TRUE(next_window.passes(9));
  EXPECT_TRUE(next_window.passes(0));
}

}  // namespace
}  // namespace quipu::kms
