// SPDX-License-Identifier: Apache-2.0
// Sites under random disasters, by seed. The ledger sees every key that any copy of any site hands out; the stores
// check their books against their rows; afterwards everything must work again by itself.
//
// QUIPU_SIM_SEEDS: how many seeds of each kind (default 1,667, over 10,000 in all; a tenth under sanitizers).
// QUIPU_SIM_SEED: one seed only, to look at a failure.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/campaign/story.h"

namespace quipu::kms::sim {
namespace {

#ifdef QUIPU_SANITIZED
constexpr std::uint64_t kSeeds = 167;
#else
constexpr std::uint64_t kSeeds = 1'667;
#endif
constexpr int kSteps = 200;

void run_all(const Menu& menu, std::uint64_t salt) {
  const char* one = std::getenv("QUIPU_SIM_SEED");
  const char* many = std::getenv("QUIPU_SIM_SEEDS");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr ? 1 : many != nullptr ? std::strtoull(many, nullptr, 10) : kSeeds;
  std::size_t masters = 0;
  std::size_t slaves = 0;
  std::size_t multicasts = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("QUIPU_SIM_SEED=" + std::to_string(seed));
    Story story(seed ^ salt << 32, menu);
    story.disasters(kSteps);
    if (!story.failed()) story.heal_and_check();
    masters += story.world().ledger().masters();
    slaves += story.world().ledger().slaves();
    multicasts += story.multicasts();
    if (story.failed()) return;
  }
  // A run in which hardly a key was handed out proves nothing.
  EXPECT_GT(masters, 7 * count);
  EXPECT_GT(slaves, 3 * count);
  if (menu.sites > 2) {
    EXPECT_GT(multicasts, count);
  }
}

TEST(Disasters, LinksBreak) {
  run_all({.sites = 2}, 1);
}

TEST(Disasters, SitesCrash) {
  run_all({.sites = 2, .crashes = true}, 2);
}

TEST(Disasters, OneSiteIsRestored) {
  run_all({.sites = 2, .crashes = true, .restores = true}, 3);
}

TEST(Disasters, OneSiteIsCloned) {
  run_all({.sites = 2, .crashes = true, .clones = true}, 4);
}

TEST(Disasters, RestoredAndCloned) {
  run_all({.sites = 2, .crashes = true, .restores = true, .clones = true}, 5);
}

TEST(Disasters, TwoDevicesCombined) {
  run_all({.sites = 2, .crashes = true, .restores = true, .clones = true, .devices = 2}, 7);
}

TEST(Disasters, ThreeSites) {
  run_all({.sites = 3, .crashes = true, .restores = true, .clones = true}, 6);
}

}  // namespace
}  // namespace quipu::kms::sim
