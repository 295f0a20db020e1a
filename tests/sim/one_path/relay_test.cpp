// SPDX-License-Identifier: Apache-2.0
// The relay of a KME that sends all shares of a block over one path.
#include <algorithm>

#include "sim/campaign/relay_trouble.h"

namespace quipu::kms::sim {
namespace {

TEST(RelaysOverOnePath, IsCaught) {
  Topology ring = Topology::ring(5, {{0, 2}}, 16'384);
  ring.paths = 2;
  Trouble trouble(1, 5, ring);
  trouble.steps(1'000);
  EXPECT_TRUE(std::ranges::any_of(trouble.take_violations(), [](const std::string& each) {
    return each.ends_with("has seen two shares of a block");
  }));
}

}  // namespace
}  // namespace quipu::kms::sim
