// SPDX-License-Identifier: Apache-2.0
#include "kms/sae_rates.h"

#include <gtest/gtest.h>

namespace quipu::kms {
namespace {

using std::chrono::seconds;

const SaeId kLimited("sae-a");
constexpr TimePoint kStart{seconds(1'000)};

// A hundred bits a second, so a thousand at once.
SaeRates rates() {
  return SaeRates({{kLimited, 100}});
}

TEST(SaeRates, WhoHasNoLimitIsNotLimited) {
  SaeRates limits = rates();
  limits.spend(SaeId("sae-b"), 1'000'000, kStart);
  EXPECT_TRUE(limits.allows(SaeId("sae-b"), 1'000'000, kStart));
}

TEST(SaeRates, ABurstAndThenTheRate) {
  SaeRates limits = rates();
  EXPECT_TRUE(limits.allows(kLimited, 1'000, kStart));
  EXPECT_FALSE(limits.allows(kLimited, 1'001, kStart));
  EXPECT_TRUE(limits.may_ever(kLimited, 1'000));
  EXPECT_FALSE(limits.may_ever(kLimited, 1'001));
  limits.spend(kLimited, 1'000, kStart);
  EXPECT_FALSE(limits.allows(kLimited, 1, kStart));
  EXPECT_TRUE(limits.allows(kLimited, 200, kStart + seconds(2)));
  EXPECT_FALSE(limits.allows(kLimited, 201, kStart + seconds(2)));
}

TEST(SaeRates, NothingIsSavedBeyondABurst) {
  SaeRates limits = rates();
  limits.spend(kLimited, 500, kStart);
  EXPECT_TRUE(limits.allows(kLimited, 1'000, kStart + seconds(3'600)));
  EXPECT_FALSE(limits.allows(kLimited, 1'001, kStart + seconds(3'600)));
}

}  // namespace
}  // namespace quipu::kms
