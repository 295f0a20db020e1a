// SPDX-License-Identifier: Apache-2.0
// Key that is relayed over trusted nodes under random disasters, by seed (campaign/tally.h says how many).
#include "sim/campaign/relay_trouble.h"

namespace quipu::kms::sim {
namespace {

#ifdef QUIPU_SANITIZED
constexpr std::uint64_t kSeeds = 20;
#else
constexpr std::uint64_t kSeeds = 60;
#endif
constexpr int kSteps = 300;

void run_all(unsigned sites, const Topology& topology) {
  const Seeds seeds(kSeeds);
  Tally all;
  int repeated = 0;
  std::size_t compared = 0;
  for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("QUIPU_SIM_SEED=" + std::to_string(seed));
    Trouble trouble(seed, sites, topology);
    trouble.steps(kSteps);
    all += trouble.tally();
    if (!::testing::Test::HasFailure()) trouble.heal_and_check();
    repeated += trouble.repeated();
    compared += trouble.compared_blocks();
  }
  if (seeds.one) return;
  // A run in which hardly a key was handed out, or hardly anything happened, proves nothing.
  EXPECT_GT(repeated, 0);
  EXPECT_GT(compared, 4 * seeds.count) << "blocks with what their shares make";
  EXPECT_TRUE(all.keys.served_at_least(25)) << all.keys.served << " of " << all.keys.made;
  EXPECT_GT(all.masters, 4 * seeds.count);
  EXPECT_GT(all.crashes, seeds.count);
  EXPECT_GT(all.restores, seeds.count);
  EXPECT_GT(2 * all.clones, seeds.count);
}

TEST(RelayTrouble, InALine) {
  run_all(4, Topology::line(4, kTarget));
}

TEST(RelayTrouble, InARing) {
  run_all(5, Topology::ring(5, {{0, 2}}, kTarget));
}

TEST(RelayTrouble, OverTwoPaths) {
  Topology ring = Topology::ring(5, {{0, 2}}, kTarget);
  ring.paths = 2;
  run_all(5, ring);
}

}  // namespace
}  // namespace quipu::kms::sim
