// SPDX-License-Identifier: Apache-2.0
// The relay of a KME whose pads come out of leases that the peer has not acknowledged.
#include "sim/kms/relay_network.h"

namespace quipu::kms::sim {
namespace {

TEST(RelaysUnacknowledged, IsCaughtWhenTheSourceIsRestored) {
  Network net(12, 3, Topology::line(3, 16'384));
  net.restore_source_after_lost_leases();
  net.world().ledger().take_violations();  // of keys; here it is about slots, hops among them
  EXPECT_FALSE(net.take_violations().empty());
}

}  // namespace
}  // namespace quipu::kms::sim
