// SPDX-License-Identifier: Apache-2.0
// Sites under random disasters, by seed. The ledger sees every key that any copy of any site hands out; the stores
// check their books against their rows; afterwards everything must work again by itself.
//
// QUIPU_SIM_SEEDS, QUIPU_SIM_SEED: see campaign/tally.h. Without them 1,667 of each kind, over 13,000 in all; a tenth
// under sanitizers.
#include <gtest/gtest.h>

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
  const Seeds seeds(kSeeds);
  Tally all;
  for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    SCOPED_TRACE("QUIPU_SIM_SEED=" + std::to_string(seed));
    Story story(seed ^ salt << 32, menu);
    story.disasters(kSteps);
    all += story.tally();
    if (!story.failed()) story.heal_and_check();
    if (story.failed()) return;
  }
  if (seeds.one) return;
  // A run in which hardly a key was handed out, or hardly anything happened, proves nothing.
  // With two devices, or for slaves at two sites, the stock of one of the two is often not there.
  EXPECT_TRUE(all.keys.served_at_least(menu.devices > 1 ? 30 : 50)) << all.keys.served << " of " << all.keys.made;
  EXPECT_TRUE(menu.sites < 3 || all.multicasts.served_at_least(25))
      << all.multicasts.served << " of " << all.multicasts.made;
  EXPECT_GT(all.masters, 7 * seeds.count);
  EXPECT_GT(10 * all.slaves, all.masters);
  EXPECT_TRUE(!menu.crashes || all.crashes > seeds.count) << all.crashes;
  EXPECT_TRUE(!menu.restores || 2 * all.restores > seeds.count) << all.restores;
  EXPECT_TRUE(!menu.clones || 2 * all.clones > seeds.count) << all.clones;
  EXPECT_TRUE(!menu.damage || 4 * all.damaged > seeds.count) << all.damaged;
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

TEST(Disasters, BlocksAreDamaged) {
  run_all({.sites = 2, .crashes = true, .damage = true}, 8);
}

TEST(Disasters, TwoDevicesCombined) {
  run_all({.sites = 2, .crashes = true, .restores = true, .clones = true, .damage = true, .devices = 2}, 7);
}

TEST(Disasters, ThreeSites) {
  run_all({.sites = 3, .crashes = true, .restores = true, .clones = true, .damage = true}, 6);
}

}  // namespace
}  // namespace quipu::kms::sim
