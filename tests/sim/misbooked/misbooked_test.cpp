// SPDX-License-Identifier: Apache-2.0
// The campaign of sim/disasters against a KME whose books have keys that it handed out among those that are burnt
// (tests/CMakeLists.txt makes it).
#include <algorithm>

#include "sim/campaign/story.h"

namespace quipu::kms::sim {
namespace {

TEST(BooksDeliveredAsBurnt, IsCaught) {
  constexpr std::uint64_t kSeeds = 20;  // at most
  bool caught = false;
  for (std::uint64_t seed = 1; seed <= kSeeds && !caught; ++seed) {
    Story story(seed, {.sites = 2});
    story.disasters(200);
    caught = std::ranges::any_of(story.take_violations(),
                                 [](const std::string& each) { return each.starts_with("books of the pool"); });
  }
  EXPECT_TRUE(caught);
}

}  // namespace
}  // namespace quipu::kms::sim
