// SPDX-License-Identifier: Apache-2.0
// What an end does not take for a lack of keys, and what it does not go on taking for one.
#include <gtest/gtest.h>

#include "protocol/control_frame.h"
#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

const Endpoint kStranger = *Endpoint::parse("203.0.113.9:1");

// Slow enough for each to be asked for at the KMS, which does not know the keys any more.
void replay_slowly(World& world, const std::vector<Bytes>& recorded) {
  const auto refused = world.b().status().statistics.rejects_sent;
  for (const Bytes& datagram : recorded) {
    world.inject(0, datagram, kStranger);
    world.run(2s);
  }
  EXPECT_GT(world.b().status().statistics.rejects_sent, refused + 2);
}

TEST(Lack, RecordedHandshakesAfterARestartAreNone) {
  Recorded world;
  replay_slowly(world, world.recorded);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
  EXPECT_EQ(world.b().status().statistics.kms_failures, 0U);
  const auto first = world.b().send();
  world.run(5s);
  EXPECT_TRUE(world.a().received.contains(first));
}

// No handshake of the peer was confirmed since the restart.
TEST(Lack, RecordedHandshakesInASessionThatThisEndMadeAreNone) {
  Options options;
  options.interval = 600s;
  Started world(options);
  ASSERT_TRUE(world.healthy());
  const auto recorded = world.record_rekeys();
  world.b().restart();
  world.b().send();
  world.run(1s);
  ASSERT_TRUE(world.b().status().initiator_of_epoch);
  replay_slowly(world, recorded);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
  EXPECT_TRUE(world.b().status().session_up);
}

// Those cost a retry at once each, and say nothing of keys.
TEST(Lack, HandshakesRefusedForTheirStampsAreNotCountedAsUnknownKeys) {
  Started world({.interval = 600s});
  ASSERT_TRUE(world.healthy());
  world.kms.synchronised_after = 10h;
  world.rekey();  // with the key that both ends had fetched ahead
  world.run(2s);
  world.overtake(2);
  const auto refused = world.a().status().statistics.rejects_received;
  world.rekey();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().last_reject == RejectReason::key_unknown; }, 10s));
  EXPECT_EQ(world.a().status().statistics.rejects_received, refused + 3);
  EXPECT_EQ(world.a().events("qkd_state"), 0U);
}

bool is_lack(ByteView datagram) {
  return Device::is_data(datagram) && datagram.size() == write_control_frame(KeysLack{}).size() + kDataOverhead;
}

// What an epoch lacked says nothing of the next: neither what is late, nor what is read in the turn in which that
// begins.
TEST(Lack, OfTheEpochBeforeIsNone) {
  for (const bool same_turn : {false, true}) {
    Started world({});
    world.traffic(100ms, 100s);
    world.run(12s);
    std::optional<Bytes> held;
    world.links[0].lose = [&](ByteView datagram) {
      if (is_lack(datagram)) held.emplace(datagram.begin(), datagram.end());
      return is_lack(datagram);
    };
    world.kms.ends[0].available = false;
    ASSERT_TRUE(world.run_until([&] { return held.has_value(); }, 30s));
    const auto epoch = world.b().status().epoch;
    if (same_turn) {
      const SessionIndex before = parse_data(*held)->receiver;
      world.b().batch = 50ms;
      world.links[0].lose = [&world, before, late = held](ByteView datagram) mutable {
        const bool first = late && Device::is_data(datagram) && parse_data(datagram)->receiver != before;
        if (first) world.inject(0, *std::exchange(late, {}), world.a().endpoint);
        return is_lack(datagram);
      };
    }
    world.kms.ends[0].available = true;
    ASSERT_TRUE(world.run_until([&] { return world.b().status().epoch == epoch + 1; }, 10s));
    if (!same_turn) world.inject(0, *held, world.a().endpoint);
    world.run(1s);
    EXPECT_EQ(world.b().status().statistics.drops[static_cast<std::size_t>(DropReason::failed_open)], 0U);
    EXPECT_EQ(world.b().events("qkd_state"), 0U) << same_turn;
  }
}

// A late one of the epoch before does not push out the true one that is read in the same turn.
TEST(Lack, OfThisEpochIsHeededWhateverComesAfterIt) {
  Started world({});
  world.traffic(100ms, 100s);
  world.run(12s);
  std::vector<Bytes> held;
  world.links[0].lose = [&](ByteView datagram) {
    if (is_lack(datagram)) held.emplace_back(datagram.begin(), datagram.end());
    return is_lack(datagram);
  };
  world.kms.ends[0].available = false;
  ASSERT_TRUE(world.run_until([&] { return !held.empty(); }, 30s));
  const auto epoch = world.b().status().epoch;
  world.kms.ends[0].available = true;
  ASSERT_TRUE(world.run_until([&] { return world.b().status().epoch == epoch + 1; }, 10s));
  const Bytes before = held.back();
  held.clear();
  world.kms.ends[0].available = false;
  // While B knows the keys of both epochs.
  world.rekey();
  ASSERT_TRUE(world.run_until([&] { return !held.empty(); }, 30s));
  ASSERT_EQ(world.b().events("qkd_state"), 0U);
  world.b().batch = 50ms;
  world.inject(0, held.back(), world.a().endpoint);
  world.inject(0, before, world.a().endpoint);
  world.run(1s);
  EXPECT_EQ(world.b().status().statistics.drops[static_cast<std::size_t>(DropReason::failed_open)], 0U);
  EXPECT_EQ(world.b().status().statistics.drops[static_cast<std::size_t>(DropReason::expired_key)], 0U);
  EXPECT_EQ(world.b().status().lack, Lack::keys_there);
}

// There were keys for it, whatever it did not reach.
TEST(Lack, IsOverWhenAHandshakeThatHasKeysGoesUnanswered) {
  Started world({});
  world.traffic(100ms, 100s);
  world.run(12s);
  world.kms.ends[0].available = false;
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 30s));
  world.links[0].lose = is_initiation;
  world.kms.ends[0].available = true;
  ASSERT_TRUE(world.run_until([&] { return world.a().events("handshake_timed_out") != 0; }, 15s));
  EXPECT_EQ(world.a().status().qkd, QkdState::ok);
  world.run(60s);
  for (int i : {0, 1})
    EXPECT_EQ(world.node(i).events("qkd_state"), 2U) << i;
}

// The last attempt went unanswered; what comes after it is told as what it is.
TEST(Lack, IsNotToldAsHandshakesWithoutAnswer) {
  for (int lacks : {0, 1}) {
    Options options;
    options.max_key_age = 3h;
    Started world(options);
    world.traffic(100ms, 200s);
    world.run(12s);
    world.links[0].lose = is_initiation;
    ASSERT_TRUE(world.run_until([&] { return world.a().status().unanswered; }, 40s));
    world.links[0].lose = {};
    world.kms.ends[lacks].available = false;
    ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 10s));
    EXPECT_EQ(world.a().status().lack, lacks == 0 ? Lack::keys_here : Lack::keys_there);
    for (int i = 0; i < 300; ++i) {
      world.run(100ms);
      ASSERT_FALSE(world.a().status().unanswered) << lacks << ' ' << i;
    }
  }
}

// The test itself plays A, with B alone in the world.
Keypair session_with_b(World& world) {
  world.b().start();
  InitiationPayload payload{Stamp(1), {}, world.policy_of_a(), 1, {}};
  const Policy policy = world.a().peer_config(true).policy;
  std::vector<QkdKey> keys;
  if (policy.keys_needed() != 0) {
    auto answer = world.kms.ask(0, {KeyRequestId(1), kFarEnd, 0, policy.sources[0], {}, {}}, world.now());
    keys.push_back({{0, KeyKind::etsi014, answer.key_id, {}, 0},
                    policy.sources[0].own,
                    policy.sources[0].peer,
                    std::move(answer.key)});
    payload.keys.push_back(keys[0].reference);
  }
  const auto initiation = Initiation::create(*world.identities[0], world.identities[1]->public_key, world.psk,
                                             SessionIndex(1), payload, world.rng);
  world.inject(0, initiation->message(), world.a().endpoint);
  world.run(100ms);
  return Keypair(std::move(initiation->consume_response(world.handshakes[1].back(), keys)->secrets));
}

TEST(Lack, ThatIsToldOverAndOverIsHeededByTheRate) {
  for (const QkdUse qkd : {QkdUse::required, QkdUse::preferred, QkdUse::off}) {
    Options options;
    options.qkd = qkd;
    World world(options);
    Keypair keypair = session_with_b(world);
    for (int i = 0; i < 1000; ++i) {
      const Bytes frame = write_control_frame(KeysLack{});
      Bytes datagram(frame.size() + kDataOverhead);
      ASSERT_TRUE(keypair.seal(Lane{0}, {FrameKind::control}, frame, datagram));
      world.watch.delivered(1, datagram);
      world.inject(0, std::move(datagram), world.a().endpoint);
      world.run(10ms);
    }
    const bool needs_keys = qkd == QkdUse::required;
    ASSERT_TRUE(world.b().status().session_up);
    // Under `preferred`, it is that the epoch has no key.
    EXPECT_EQ(world.b().events("qkd_state"), qkd == QkdUse::off ? 0U : 1U);
    EXPECT_EQ(world.b().status().qkd == QkdState::stretch, needs_keys);
    const auto heeded = world.b().status().statistics.kms_failures;
    EXPECT_EQ(heeded != 0, needs_keys);
    EXPECT_LE(heeded, kRateBurst + 10s / kRateIntervalAtMost);
  }
}

}  // namespace
}  // namespace quipu::sim
