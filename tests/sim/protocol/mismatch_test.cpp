// SPDX-License-Identifier: Apache-2.0
// Two ends that are not configured alike: no session, and both say which setting it is.
#include <gtest/gtest.h>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

TEST(Fault, DifferentPoliciesAreToldAndNotRetried) {
  World world({});
  world.b().adjust = [](PeerConfig& peer) { peer.policy.qkd = QkdUse::preferred; };
  world.start();
  world.traffic(100ms, 50s);
  world.run(50s);
  // In both logs, once for each attempt.
  EXPECT_GE(world.a().events("policy_mismatch"), 1U);
  EXPECT_LE(world.a().events("policy_mismatch"), 2U);
  EXPECT_EQ(world.a().events("policy_mismatch"), world.b().events("policy_mismatch"));
  EXPECT_LE(world.a().status().statistics.attempts + world.b().status().statistics.attempts, 2U);
  EXPECT_FALSE(world.a().status().session_up);
  EXPECT_EQ(world.kms.ends[1].delivered_named, 0U);
  // Both ends name the setting, each from where it stands.
  for (const auto& [node, told] : {std::pair{&world.a(), "qkd is required here and preferred at the peer"},
                                   std::pair{&world.b(), "qkd is preferred here and required at the peer"}}) {
    EXPECT_EQ(node->reasons["policy_mismatch"], told);
    EXPECT_EQ(node->status().mismatch, told);
    EXPECT_TRUE(node->status().session_wanted);
  }
}

TEST(Fault, AMismatchIsForgottenWhenItIsMended) {
  World world({});
  world.b().adjust = [](PeerConfig& peer) { peer.tunnel = TunnelId(7); };
  world.start();
  world.a().send();
  world.run(5s);
  EXPECT_FALSE(world.a().status().mismatch.empty());
  EXPECT_FALSE(world.b().status().mismatch.empty());
  world.b().adjust = nullptr;
  world.b().restart();
  world.traffic(100ms, 70s);
  world.run(70s);
  EXPECT_TRUE(world.a().status().session_up);
  EXPECT_TRUE(world.a().status().mismatch.empty());
  EXPECT_TRUE(world.b().status().mismatch.empty());
}

TEST(Fault, DifferentTunnelsAreToldToo) {
  World world({});
  world.b().adjust = [](PeerConfig& peer) { peer.tunnel = TunnelId(7); };
  world.start();
  world.a().send();
  world.run(10s);
  EXPECT_EQ(world.a().events("policy_mismatch"), 1U);
  EXPECT_FALSE(world.a().status().session_up);
  // The initiator told its number, and was told none.
  EXPECT_EQ(world.a().reasons["policy_mismatch"], "tunnel_id is 0 here and another number at the peer");
  EXPECT_EQ(world.b().reasons["policy_mismatch"], "tunnel_id is 7 here and 0 at the peer");
}

}  // namespace
}  // namespace quipu::sim
