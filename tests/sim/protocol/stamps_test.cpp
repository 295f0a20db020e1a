// SPDX-License-Identifier: Apache-2.0
// Stamps: what was restored, cloned, replayed or claims to be far ahead.
#include <gtest/gtest.h>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

TEST(Fault, StampsRolledBackHealInOneRoundTrip) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.a().durable_stamps += 5000;
  world.a().restart();
  ASSERT_TRUE(world.heals(10s));
  world.a().restart_with_stamps(0);
  world.a().send();
  EXPECT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 500ms));
  EXPECT_EQ(world.a().events("restored_or_cloned"), 1U);
  // The key of the refused message 1 was kept: nobody else had taken it.
  EXPECT_EQ(world.a().status().statistics.keys_burnt, 0U);
}

TEST(Fault, NoStampIsUsedBeforeItIsDurable) {
  World world({});
  world.a().answers_stamps = false;
  world.start();
  world.a().send();
  world.run(30s);
  EXPECT_TRUE(world.handshakes[0].empty());
}

TEST(Fault, AJumpOfStampsNeedsTheOperatorsWord) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.a().restart_with_stamps(std::uint64_t{1} << 42);
  world.a().send();
  world.run(5s);
  EXPECT_FALSE(world.a().status().session_up);
  EXPECT_GE(world.b().events("stamp_jump_refused"), 1U);
  ASSERT_TRUE(world.b().device().permit_stamp_jump(kFarEnd));
  world.a().send();
  EXPECT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 5s));
}

// The same for what the peer says about our own stamps, or it could make every other peer refuse us.
TEST(Fault, AToldJumpOfStampsNeedsTheOperatorsWordToo) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.b().restart();
  world.a().restart_with_stamps(std::uint64_t{1} << 42);
  ASSERT_TRUE(world.heals(10s));
  world.a().restart_with_stamps(0);
  world.a().send();
  world.run(1s);
  EXPECT_FALSE(world.a().status().session_up);
  EXPECT_GE(world.a().events("stamp_jump_refused"), 1U);
  EXPECT_LT(world.a().durable_stamps, 2 * kStampRange);
  ASSERT_TRUE(world.a().device().permit_stamp_jump(kFarEnd));
  world.a().send();
  EXPECT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 10s));
}

// Something of a that only the test has sent: b has seen this stamp.
void show_stamp(World& world, std::uint64_t stamp) {
  InitiationPayload payload;
  payload.stamp = Stamp(stamp);
  payload.policy = policy_on_wire(
      world.a().peer_config(true).policy.canonical(world.identities[0]->public_key, world.identities[1]->public_key));
  const auto initiation = Initiation::create(*world.identities[0], world.identities[1]->public_key, world.psk,
                                             SessionIndex(1), payload, world.rng);
  ASSERT_TRUE(initiation);
  world.inject(0, initiation->message(), world.a().endpoint);
}

TEST(Fault, TheOperatorsWordIsGoodForOneToldJump) {
  Started world({});
  show_stamp(world, std::uint64_t{1} << 42);
  ASSERT_TRUE(world.a().device().permit_stamp_jump(kFarEnd));
  // No session of this attempt, nor of one of the peer's, so that it is the jump alone which uses up the word.
  world.links[1].lose = [](ByteView datagram) { return is_response(datagram) || is_initiation(datagram); };
  world.a().send();
  world.run(1s);
  EXPECT_EQ(world.a().events("restored_or_cloned"), 1U);
  EXPECT_GT(world.a().durable_stamps, std::uint64_t{1} << 42);
  world.run(6s);
  show_stamp(world, std::uint64_t{1} << 44);
  world.run(5s);
  EXPECT_GE(world.a().events("stamp_jump_refused"), 1U);
  EXPECT_EQ(world.a().events("restored_or_cloned"), 1U);
  EXPECT_LT(world.a().durable_stamps, std::uint64_t{1} << 43);
}

TEST(Fault, RecordedHandshakesDoNothing) {
  Options options;
  options.interval = 1s;
  Started world(options);
  world.traffic(50ms, 10s);
  world.run(10s);
  const auto recorded = world.handshakes[0];
  const auto asked = world.kms.ends[1].requests;
  const PeerStatus before = world.b().status();
  for (const Bytes& datagram : recorded)
    world.inject(0, datagram, *Endpoint::parse("203.0.113.9:1"));
  EXPECT_EQ(world.kms.ends[1].requests, asked);
  EXPECT_EQ(world.b().status().epoch, before.epoch);
  EXPECT_EQ(world.b().status().endpoint, before.endpoint);
  EXPECT_LE(world.b().status().statistics.rejects_sent, before.statistics.rejects_sent + 1);
  EXPECT_TRUE(world.healthy());
}

TEST(Fault, RecordedHandshakesAfterARestartCostOneRefusedRequestEach) {
  Recorded world;
  const auto asked = world.kms.ends[1].requests;
  for (const Bytes& datagram : world.recorded)
    world.inject(0, datagram, *Endpoint::parse("203.0.113.9:1"));
  // The burst of the rate and no more, however many there are.
  EXPECT_LE(world.kms.ends[1].requests, asked + kRateBurst);
  EXPECT_FALSE(world.b().status().session_up);
  EXPECT_TRUE(world.heals(10s));
}

// With a rate in proportion to N, three old messages would lock the peer out for a quarter of an hour.
TEST(Fault, RecordedHandshakesAfterARestartLockNobodyOut) {
  Options options;
  options.interval = 3600s;
  Started world(options);
  ASSERT_TRUE(world.healthy());
  const auto recorded = world.record_rekeys();
  world.b().restart(false);  // so that only a message 1 from A brings them together again
  for (const Bytes& datagram : recorded)
    world.inject(0, datagram, *Endpoint::parse("203.0.113.9:1"));
  EXPECT_GT(world.b().status().statistics.rejects_sent, 0U);
  EXPECT_TRUE(world.heals(10s));
}

TEST(Fault, TwoClonesOfOneSiteDoNotStopEachOtherForGood) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  const std::uint64_t stamps = world.a().durable_stamps;
  for (int i = 0; i < 5; ++i) {
    world.a().restart_with_stamps(stamps);
    EXPECT_TRUE(world.heals(10s));
  }
  EXPECT_GE(world.a().events("restored_or_cloned"), 1U);
}

}  // namespace
}  // namespace quipu::sim
