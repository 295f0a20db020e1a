// SPDX-License-Identifier: Apache-2.0
// The relay of a KME that sends all shares of a block over one path.
#include <algorithm>

#include "sim/campaign/relay_trouble.h"

namespace quipu::kms::sim {
namespace {

// In some lives nothing comes to be relayed over two paths.
bool is_caught() {
  constexpr std::uint64_t kSeeds = 500;  // at most
  Topology ring = Topology::ring(5, {{0, 2}}, 16'384);
  ring.paths = 2;
  for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    Trouble trouble(seed, 5, ring);
    trouble.steps(300);
    if (std::ranges::any_of(trouble.take_violations(),
                            [](const std::string& each) { return each.ends_with("has seen two shares of a block"); }))
      return true;
  }
  return false;
}

TEST(RelaysOverOnePath, IsCaught) {
  EXPECT_TRUE(is_caught());
}

}  // namespace
}  // namespace quipu::kms::sim
