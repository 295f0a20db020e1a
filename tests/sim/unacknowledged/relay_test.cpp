// SPDX-License-Identifier: Apache-2.0
// The relay of a KME whose pads come out of leases that the peer has not acknowledged.
#include <algorithm>

#include "sim/campaign/relay_trouble.h"

namespace quipu::kms::sim {
namespace {

TEST(RelaysUnacknowledged, IsCaughtWhenTheSourceIsRestored) {
  Network net(12, 3, Topology::line(3, 16'384));
  net.restore_source_after_lost_leases();
  EXPECT_FALSE(net.take_slot_violations().empty());  // hops among them
  net.take_violations();
}

// The campaign of sim/disasters: a slot that was one hop's is another's, or a key's.
bool is_caught(unsigned sites, const Topology& topology) {
  constexpr std::uint64_t kSeeds = 500;  // at most
  for (std::uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
    Trouble trouble(seed, sites, topology);
    trouble.steps(300);
    if (std::ranges::any_of(trouble.take_violations(), [](const std::string& each) { return each.contains("hop "); }))
      return true;
  }
  return false;
}

TEST(RelaysUnacknowledged, IsCaughtInALine) {
  EXPECT_TRUE(is_caught(4, Topology::line(4, 16'384)));
}

TEST(RelaysUnacknowledged, IsCaughtInARing) {
  EXPECT_TRUE(is_caught(5, Topology::ring(5, {{0, 2}}, 16'384)));
}

}  // namespace
}  // namespace quipu::kms::sim
