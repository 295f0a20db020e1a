// SPDX-License-Identifier: Apache-2.0
// What each end says of the supply of keys and of a peer that is silent, and how either ends.
#include <gtest/gtest.h>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

// The responder's own KMS works: the initiator tells it.
TEST(Supply, AnOutageAtTheInitiatorIsToldAtBothEnds) {
  Started world({});
  world.traffic(100ms, 100s);
  world.run(12s);
  world.kms.ends[0].available = false;
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 20s));
  EXPECT_TRUE(world.run_until([&] { return world.b().status().qkd == QkdState::stretch; }, 1s));
  EXPECT_TRUE(world.b().status().session_up);
  EXPECT_EQ(world.a().status().lack, Lack::keys_here);
  EXPECT_EQ(world.b().status().lack, Lack::keys_there);
  EXPECT_EQ(world.b().reasons["qkd_state"], to_string(Lack::keys_there));
  world.kms.ends[0].available = true;
  ASSERT_TRUE(world.run_until([&] { return world.b().status().qkd == QkdState::ok; }, 6s));
  EXPECT_EQ(world.b().events("qkd_state"), 2U);
}

// Nobody has to send for it to be found out that there are keys again.
TEST(Supply, ABlockEndsWithTheOutage) {
  Started world({});
  world.traffic(100ms, 60s);
  world.run(12s);
  world.kms.set_available(false);
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::block; }, 60s));
  ASSERT_TRUE(world.run_until([&] { return world.b().status().qkd == QkdState::block; }, 60s));
  world.run(60s);
  EXPECT_EQ(world.a().status().qkd, QkdState::block);
  EXPECT_EQ(world.a().status().queued_packets, 0U);
  const auto delivered = world.kms.ends[0].delivered_fresh + world.kms.ends[1].delivered_fresh;
  world.kms.set_available(true);
  world.run(10s);
  for (int i : {0, 1})
    EXPECT_EQ(world.node(i).status().qkd, QkdState::ok);
  world.run(600s);
  EXPECT_LE(world.kms.ends[0].delivered_fresh + world.kms.ends[1].delivered_fresh, delivered + 2);
}

// The KMSs work again and the peer is gone: that is no lack of keys.
TEST(Supply, ABlockEndsThoughThePeerIsAbsent) {
  Started world({});
  world.traffic(100ms, 40s);
  world.run(12s);
  world.kms.set_available(false);
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::block; }, 60s));
  world.links[0].cut = world.links[1].cut = true;
  world.kms.set_available(true);
  world.run(70s);
  EXPECT_EQ(world.a().status().qkd, QkdState::ok);
  const auto delivered = world.kms.ends[0].delivered_fresh;
  world.run(600s);
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, delivered);
}

// A peer that was silent made an attempt wanted long before the interval was over, and the network that failed took the
// KMS along.
TEST(Supply, AStretchEndsWithTheOutageThoughNoRekeyIsDue) {
  Options options;
  options.interval = 600s;
  Started world(options);
  world.traffic(500ms, 500s);
  world.run(60s);
  ASSERT_FALSE(world.a().status().silent);
  world.links[0].cut = world.links[1].cut = true;
  world.kms.set_available(false);
  world.run(30s);
  EXPECT_TRUE(world.a().status().silent);
  EXPECT_TRUE(world.b().status().silent);
  // The first attempt had the key that was fetched ahead.
  world.run(70s);
  EXPECT_TRUE(world.a().status().silent);
  EXPECT_TRUE(world.a().status().session_up);
  EXPECT_EQ(world.a().status().qkd, QkdState::stretch);
  world.links[0].cut = world.links[1].cut = false;
  world.kms.set_available(true);
  world.run(30s);
  for (int i : {0, 1}) {
    EXPECT_FALSE(world.node(i).status().silent);
    EXPECT_EQ(world.node(i).status().qkd, QkdState::ok);
  }
}

// An epoch that nothing went over is followed by none: the first packet finds it old, and no key is lacking.
TEST(Supply, AnIdleEpochIsNotTakenForAnOutage) {
  Started world({});
  world.a().send();
  world.run(30s);
  ASSERT_GT(world.b().status().key_age, 15s);
  world.traffic(100ms, 30s);
  world.run(30s);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
  EXPECT_TRUE(world.healthy());
}

// The only packet of an epoch was ours and was lost: the peer, which its keepalives let us hear, knows of no use.
TEST(Supply, AnEpochThatOnlyThisEndUsedIsNotTakenForAnOutage) {
  Options options;
  options.interval = 600s;
  World world(options);
  world.a().adjust = [](PeerConfig& peer) { peer.persistent_keepalive = 2s; };
  world.start();
  world.a().send();
  world.run(700s);
  ASSERT_EQ(world.b().status().epoch, 2U);
  world.links[1].cut = true;
  world.b().send();
  world.run(1s);
  world.links[1].cut = false;
  world.run(900s);
  ASSERT_EQ(world.b().status().epoch, 2U);
  ASSERT_LT(world.b().status().last_received.value_or(1h), 3s);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
}

// Each end's interval is its own. Where the epoch dies at one end before the other rekeys, the packets wait.
TEST(Supply, AnotherIntervalAtTheOtherEndIsNotTakenForAnOutage) {
  for (const Duration at_regular : {20s, 60s}) {
    World world({});
    world.a().adjust = [&](PeerConfig& peer) { peer.rekey_interval = at_regular; };
    world.start();
    world.traffic(100ms, 200s);
    world.run(205s);
    for (int i : {0, 1}) {
      EXPECT_EQ(world.node(i).events("qkd_state"), 0U) << i;
      const DropCounts drops = world.node(i).status().statistics.drops;
      EXPECT_EQ(drops[static_cast<std::size_t>(DropReason::blocked)], 0U) << i;
    }
    EXPECT_EQ(world.a().received.size(), world.b().sent.size());
  }
}

// One end stretches its interval to what it has measured, and the other has measured nothing.
TEST(Supply, ALongRoundTripIsNotTakenForAnOutage) {
  struct Case {
    Duration interval, delay;
  };

  for (const auto& [interval, delay] : {Case{2s, 400ms}, Case{1s, 300ms}}) {
    Options options;
    options.interval = interval;
    World world(options);
    for (Link& link : world.links)
      link.delay = delay;
    world.start();
    world.traffic(100ms, 100s);
    world.run(100s);
    for (int i : {0, 1})
      EXPECT_EQ(world.node(i).events("qkd_state"), 0U) << i;
    EXPECT_GT(world.b().status().epoch, 20U);
  }
}

// It has the keys for the next epoch, and answers.
TEST(Supply, APeerThatDoesNotHearOurAnswersIsNotTakenForAnOutage) {
  Started world({});
  world.traffic(100ms, 60s);
  world.run(5s);
  world.links[1].lose = is_response;
  world.run(20s);
  EXPECT_TRUE(world.b().status().session_up);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
}

// A peer that was switched off is no matter of keys, to an end that only receives neither.
TEST(Supply, APeerThatVanishedIsNotTakenForAnOutage) {
  Started world({});
  world.traffic(100ms, 100s, true, false);
  world.run(12s);
  world.links[0].cut = world.links[1].cut = true;
  world.run(120s);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
}

// Two KMSs of different links: each attempt burns a key, so that nobody tries while nobody sends.
TEST(Supply, ABlockForKeysThatTheOtherKmsDoesNotKnowCostsNothingWhenNobodySends) {
  Started world({});
  world.traffic(100ms, 80s);
  world.run(12s);
  world.kms.synchronised_after = 10h;
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::block; }, 60s));
  world.run(60s);
  const auto delivered = world.kms.ends[0].delivered_fresh + world.kms.ends[1].delivered_fresh;
  world.run(600s);
  EXPECT_LE(world.kms.ends[0].delivered_fresh + world.kms.ends[1].delivered_fresh, delivered + 4);
}

// The end that refuses the handshakes knows why, and burns no keys of its own to find out.
TEST(Supply, KmssThatDisagreeAreToldAtBothEndsAndCostTheResponderNoKey) {
  Started world({});
  world.traffic(100ms, 80s, true, false);
  world.run(12s);
  world.kms.synchronised_after = 10h;
  ASSERT_TRUE(world.run_until([&] { return world.b().status().qkd == QkdState::stretch; }, 30s));
  EXPECT_EQ(world.b().reasons["qkd_state"], to_string(Lack::unknown_here));
  world.run(600s);
  EXPECT_EQ(world.a().status().qkd, QkdState::block);
  EXPECT_EQ(world.b().status().qkd, QkdState::block);
  EXPECT_EQ(world.a().status().lack, Lack::unknown_there);
  EXPECT_EQ(world.b().status().lack, Lack::unknown_here);
  EXPECT_EQ(world.kms.ends[1].delivered_fresh, 0U);
  world.kms.synchronised_after = {};
  EXPECT_TRUE(world.heals(10s));
}

// One key that comes too late to the other site is made good by the next.
TEST(Supply, OneKeyThatIsUnknownHereIsNoLack) {
  Started world({});
  world.traffic(100ms, 60s);
  world.run(12s);
  world.kms.synchronised_after = 10h;
  ASSERT_TRUE(world.run_until([&] { return world.b().status().statistics.rejects_sent == 1; }, 20s));
  world.kms.synchronised_after = {};
  world.run(10s);
  EXPECT_EQ(world.a().events("qkd_state") + world.b().events("qkd_state"), 0U);
  EXPECT_TRUE(world.healthy());
}

// It says itself what it lacks.
TEST(Supply, APeerWithoutKeysIsNotTakenForSilent) {
  Options options;
  options.interval = 600s;
  Started world(options);
  world.traffic(500ms, 300s);
  world.run(60s);
  world.kms.ends[1].available = false;
  world.b().restart();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().last_reject.has_value(); }, 30s));
  for (int i = 0; i < 60; ++i) {
    world.run(1s);
    EXPECT_FALSE(world.a().status().silent) << i;
  }
  EXPECT_EQ(world.a().status().last_reject, RejectReason::kms_unavailable);
}

// It has ended its session and opens no handshake of ours any more, nor we one of its: nobody can say more than that.
TEST(Supply, APeerWhosePreSharedKeyChangedIsTakenForSilent) {
  Started world({});
  world.traffic(100ms, 60s);
  world.run(5s);
  const auto change = [&](Device& device, Actions& actions) {
    PeerConfig peer = world.b().peer_config(true);
    peer.psk.mutable_view()[0] ^= 1;
    ASSERT_TRUE(device.update_peer(std::move(peer), world.now(), actions));
  };
  world.b().with_device(change);
  EXPECT_TRUE(world.run_until([&] { return world.a().status().silent; }, 20s));
  EXPECT_TRUE(world.a().status().session_up);
}

TEST(Supply, APeerWhoseDataArriveIsNotTakenForSilent) {
  Started world({});
  world.traffic(100ms, 60s);
  world.run(5s);
  world.links[0].lose = is_initiation;
  world.kms.ends[0].latency = 1s;
  for (int i = 0; i < 200; ++i) {
    world.run(100ms);
    EXPECT_FALSE(world.a().status().silent) << i;
  }
  EXPECT_TRUE(world.a().status().unanswered);
  EXPECT_EQ(world.b().events("qkd_state"), 0U);
  world.links[0].lose = {};
  world.run(4s);
  EXPECT_FALSE(world.a().status().unanswered);
  EXPECT_TRUE(world.healthy());
}

// Data flow for as long as the epoch lives, and none follows.
TEST(Supply, KmssThatGiveDifferentKeysAreToldWhileDataFlow) {
  Options options;
  options.max_key_age = 3h;
  Started world(options);
  world.traffic(100ms, 200s);
  world.run(12s);
  world.kms.ends[1].wrong_keys = true;
  ASSERT_TRUE(world.run_until([&] { return world.a().status().unanswered; }, 40s));
  for (int i = 0; i < 60; ++i) {
    world.run(1s);
    EXPECT_TRUE(world.a().status().unanswered) << i;
  }
  EXPECT_TRUE(world.healthy());
  world.kms.ends[1].wrong_keys = false;
  world.run(15s);
  EXPECT_FALSE(world.a().status().unanswered);
}

}  // namespace
}  // namespace quipu::sim
