// SPDX-License-Identifier: Apache-2.0
// The campaign of sim/disasters against a KME that hands out keys of a lease before the peer has acknowledged it
// (tests/CMakeLists.txt makes it). A campaign that does not catch this one proves nothing.
#include <gtest/gtest.h>

#include "sim/campaign/story.h"

namespace quipu::kms::sim {
namespace {

constexpr std::uint64_t kSeeds = 3'000;  // at most: some hundred are enough
constexpr int kSteps = 200;
// What violations say, of keys that were handed out and of slots that were pads of transfers.
constexpr const char* kKeys = "key_ID";
constexpr const char* kTransfers = "transfer ";

// Of the first story in which a rule of single use is broken, those that say so.
std::vector<std::string> first_violations(const Menu& menu, const char* with) {
  for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    Story story(seed, menu);
    story.disasters(kSteps);
    auto found = story.take_violations();
    std::erase_if(found, [&](const std::string& each) { return !each.contains(with); });
    if (!found.empty()) return found;
  }
  return {};
}

TEST(HandsOutUnacknowledged, IsCaughtWhenLinksBreak) {
  EXPECT_FALSE(first_violations({.sites = 2}, kKeys).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhenSitesCrash) {
  EXPECT_FALSE(first_violations({.sites = 2, .crashes = true}, kKeys).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhenOneSiteIsCloned) {
  EXPECT_FALSE(first_violations({.sites = 2, .crashes = true, .clones = true}, kKeys).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhenRestoredAndCloned) {
  EXPECT_FALSE(first_violations({.sites = 2, .crashes = true, .restores = true, .clones = true}, kKeys).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtAmongThreeSites) {
  EXPECT_FALSE(first_violations({.sites = 3, .crashes = true, .restores = true, .clones = true}, kKeys).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhenOneSiteIsRestored) {
  EXPECT_FALSE(first_violations({.sites = 2, .crashes = true, .restores = true}, kKeys).empty());
}

TEST(HandsOutUnacknowledged, IsCaughtWhereKeysAreCombined) {
  EXPECT_FALSE(
      first_violations({.sites = 2, .crashes = true, .restores = true, .clones = true, .devices = 2}, kKeys).empty());
}

// Keys that are handed out can be good where the pads are not: two transfers under one pad.
TEST(HandsOutUnacknowledged, IsCaughtInThePadsOfTransfers) {
  EXPECT_FALSE(first_violations({.sites = 3, .crashes = true, .restores = true, .clones = true}, kTransfers).empty());
}

}  // namespace
}  // namespace quipu::kms::sim
