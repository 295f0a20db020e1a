// SPDX-License-Identifier: Apache-2.0
// The campaign of sim/disasters against a KME that hands out keys of a lease before the peer has acknowledged it
// (tests/CMakeLists.txt makes it). A campaign that does not catch this one proves nothing.
#include <gtest/gtest.h>

#include "sim/campaign/story.h"

namespace quipu::kms::sim {
namespace {

constexpr std::uint64_t kSeeds = 3'000;  // at most: some hundred are enough
constexpr int kSteps = 200;

// What the ledger says of the first story in which a rule of single use is broken.
std::vector<std::string> first_violations(const Menu& menu) {
  for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    Story story(seed, menu);
    story.disasters(kSteps);
    if (auto found = story.world().ledger().take_violations(); !found.empty()) return found;
  }
  return {};
}

TEST(HandsOutUnacknowledged, IsCaughtWhenLinksBreak) {
  EXPECT_FALSE(first_violations({.sites = 2}).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhenOneSiteIsRestored) {
  EXPECT_FALSE(first_violations({.sites = 2, .crashes = true, .restores = true}).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhereKeysAreCombined) {
  EXPECT_FALSE(first_violations({.sites = 2, .crashes = true, .restores = true, .devices = 2}).empty());
}

}  // namespace
}  // namespace quipu::kms::sim
