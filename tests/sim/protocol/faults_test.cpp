// SPDX-License-Identifier: Apache-2.0
// One rule of the state machine each, with the fault that it answers.
#include <gtest/gtest.h>

#include <algorithm>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

TEST(Fault, ConfirmationsLostInOneDirectionLoseOnlyWhatTheLinkLoses) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  const auto first = world.a().status().epoch;
  world.traffic(50ms, 40s);
  // From the next message 2 on, everything from A is lost for 3 s: B must go on under the old keys meanwhile.
  bool lossy = false;
  world.links[1].lose = [&](ByteView datagram) {
    lossy |= is_response(datagram);
    return false;
  };
  world.links[0].lose = [&](ByteView) { return lossy; };
  ASSERT_TRUE(world.run_until([&] { return world.a().status().epoch == first + 1; }, 15s));
  EXPECT_EQ(world.b().status().epoch, first);
  const auto sent_before = world.b().sent.size();
  const auto received_before = world.a().received.size();
  world.run(3s);
  EXPECT_EQ(world.b().status().epoch, first);
  EXPECT_NEAR(static_cast<double>(world.a().received.size() - received_before),
              static_cast<double>(world.b().sent.size() - sent_before), 2);
  world.links[0].lose = {};
  world.links[1].lose = {};
  EXPECT_TRUE(world.heals(5s));
}

TEST(Fault, LostConfirmationsForLongerStartAnotherHandshake) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.traffic(50ms, 60s);
  const auto epoch = world.a().status().epoch;
  std::optional<std::uint32_t> dead_index;
  world.links[0].lose = [&](ByteView datagram) {
    // The first new keypair's packets never arrive.
    return Device::is_data(datagram) && dead_index && parse_data(datagram)->receiver.value() == *dead_index;
  };
  world.links[1].lose = [&](ByteView datagram) {
    if (is_response(datagram) && !dead_index) dead_index = parse_response(datagram)->sender.value();
    return false;
  };
  world.run(22s);
  EXPECT_GE(world.a().status().epoch, epoch + 2);
  EXPECT_TRUE(world.heals(5s));
}

TEST(Fault, ALostAnswerIsRepeatedOctetForOctet) {
  Started world({});
  int lost = 0;
  world.links[1].lose = [&](ByteView datagram) { return is_response(datagram) && ++lost <= 3; };
  world.a().send();
  ASSERT_TRUE(world.run_until([&] { return !world.b().received.empty(); }, 8s));
  ASSERT_GE(world.handshakes[1].size(), 4U);
  for (const Bytes& answer : world.handshakes[1])
    EXPECT_EQ(answer, world.handshakes[1].front());
  for (const Bytes& initiation : world.handshakes[0])
    EXPECT_EQ(initiation, world.handshakes[0].front());
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, 1U);
  EXPECT_EQ(world.kms.ends[1].delivered_named, 1U);
}

TEST(Fault, LostRejectsAreRepeatedAndCostNoMoreKeys) {
  Started world({});
  world.kms.ends[1].available = false;
  int lost = 0;
  world.links[1].lose = [&](ByteView) { return ++lost <= 3; };
  world.a().send();
  world.run(4s);
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, 1U);
  EXPECT_GE(world.a().status().statistics.rejects_received, 1U);
  EXPECT_EQ(world.a().status().statistics.keys_burnt, 0U);
  world.kms.ends[1].available = true;
  EXPECT_TRUE(world.heals(10s));
  // kms-unavailable said keep: it is the first key that made the session, and the second is there for the next.
  EXPECT_EQ(world.a().status().statistics.keys_burnt, 0U);
  EXPECT_LE(world.kms.ends[0].delivered_fresh, 2U);
}

TEST(Fault, AnAnswerGoesOutOncePerTenthOfASecond) {
  Started world({});
  world.links[1].lose = [](ByteView) { return true; };
  world.a().send();
  world.run(200ms);
  const auto answers = [&] { return std::ranges::count_if(world.handshakes[1], is_response); };
  ASSERT_EQ(answers(), 1);
  const Bytes initiation = world.handshakes[0].front();
  for (int i = 0; i < 40; ++i)
    world.inject(0, initiation, world.a().endpoint);
  EXPECT_EQ(answers(), 2);
}

TEST(Fault, CopiesFromElsewhereTakeNobodysAnswer) {
  Started world({});
  int lost = 0;
  world.links[1].lose = [&](ByteView datagram) { return is_response(datagram) && ++lost <= 1; };
  world.a().send();
  std::function<void()> replay = [&] {
    if (!world.handshakes[0].empty()) world.inject(0, world.handshakes[0].front(), *Endpoint::parse("203.0.113.9:1"));
    world.after(50ms, replay);
  };
  world.after(10ms, replay);
  EXPECT_TRUE(world.run_until([&] { return world.b().status().session_up; }, 2s));
  EXPECT_GE(lost, 1);
  // Nor do they keep the answer alive: the first sender has what it wanted.
  EXPECT_EQ(world.kms.ends[1].delivered_named, 1U);
}

TEST(Fault, ACrossingWithLongDelaysSettles) {
  for (const Duration delay : {Duration(600ms), Duration(1100ms), Duration(1700ms)}) {
    Started world({});
    for (Link& link : world.links)
      link.delay = delay;
    world.traffic(200ms, 60s);
    world.run(25s);
    EXPECT_TRUE(world.watch.agree());
    EXPECT_TRUE(world.a().status().confirmed);
    const auto received = world.a().received.size();
    world.run(10s);
    EXPECT_GT(world.a().received.size(), received + 40);
  }
}

// The regular initiator's messages 1 are lost, the peer's are not: it answers, keeps its own attempt, and gives it up
// for the session that the peer made.
TEST(Fault, AnAttemptEndsWhenThePeersOwnHandshakeWins) {
  Started world({});
  world.links[0].lose = is_initiation;
  world.traffic(100ms, 8s);
  world.run(6s);
  EXPECT_TRUE(world.a().status().confirmed);
  EXPECT_FALSE(world.a().status().initiator_of_epoch);
  EXPECT_FALSE(world.a().status().handshake_under_way);
  EXPECT_EQ(world.a().status().statistics.keys_burnt, 1U);
  world.links[0].lose = {};
  world.run(1s);
  EXPECT_EQ(world.a().status().epoch, 1U);
  EXPECT_TRUE(world.healthy());
}

TEST(Fault, ADeadSessionIsNoticed) {
  for (int restarted = 0; restarted < 2; ++restarted) {
    Options options;
    options.interval = 3600s;
    Started world(options);
    ASSERT_TRUE(world.healthy());
    world.traffic(100ms, 30s, restarted != 0, restarted != 1);
    world.run(1s);
    world.node(restarted).restart(false);
    // 5 s of silence, then a handshake.
    world.run(4s);
    EXPECT_EQ(world.node(restarted).status().epoch, 0U);
    EXPECT_TRUE(world.run_until([&] { return world.node(restarted).status().session_up; }, 3s));
  }
}

TEST(Fault, AQuietReceiverIsNotTakenForDead) {
  Options options;
  options.interval = 3600s;
  Started world(options);
  ASSERT_TRUE(world.healthy());
  world.traffic(100ms, 60s, true, false);
  world.run(60s);
  EXPECT_EQ(world.a().status().statistics.attempts, 1U);
}

TEST(Fault, ManyPacketsThatDoNotOpenRaiseAnAlarmForEachEpoch) {
  Options options;
  options.key_limits.failed_opens = 3;
  Started world(options);
  ASSERT_TRUE(world.healthy());
  std::optional<Bytes> genuine;
  world.links[0].lose = [&](ByteView datagram) {
    if (Device::is_data(datagram)) genuine.emplace(datagram.begin(), datagram.end());
    return false;
  };
  const auto attack = [&](Bytes datagram) {
    datagram.back() ^= 1U;
    datagram[12] = 1;  // a counter that was not used yet
    for (int i = 0; i < 4; ++i)
      world.inject(0, datagram, world.a().endpoint);
  };
  world.a().send();
  world.run(50ms);
  const Bytes of_the_first = *genuine;
  const auto epoch = world.b().status().epoch;
  world.rekey();
  ASSERT_TRUE(world.run_until([&] { return world.b().status().epoch == epoch + 1; }, 2s));
  // What is left of the first epoch still opens, and so can be attacked.
  attack(of_the_first);
  EXPECT_EQ(world.b().events("failed_opens"), 1U);
  world.a().send();
  world.run(50ms);
  attack(*genuine);
  EXPECT_EQ(world.b().events("failed_opens"), 2U);
  attack(*genuine);
  world.run(1s);
  EXPECT_EQ(world.b().events("failed_opens"), 2U);
}

TEST(Fault, ANameIsLookedUpAgainWhenNobodyAnswers) {
  World world({});
  world.a().adjust = [](PeerConfig& peer) { peer.endpoint_name = "site-b.example:51900"; };
  world.start();
  ASSERT_TRUE(world.healthy());
  EXPECT_EQ(world.a().names_asked, 0U);
  // The far end has moved and forgotten us; its name follows a while later.
  world.b().endpoint.port = 40000;
  world.b().restart(false);
  world.traffic(200ms, 60s, true, false);
  world.run(20s);
  EXPECT_GE(world.a().names_asked, 1U);
  EXPECT_FALSE(world.b().status().session_up);
  world.a().name_answers = world.b().endpoint;
  EXPECT_TRUE(world.run_until([&] { return world.b().status().session_up; }, 15s));
}

// An answer of the resolver moves no session, unless it is the first for a new name.
TEST(Fault, ANewNameIsFollowedThoughASessionIsUp) {
  World world({});
  world.a().adjust = [](PeerConfig& peer) { peer.endpoint_name = "site-b.example:51900"; };
  world.start();
  ASSERT_TRUE(world.healthy());
  const Endpoint before = world.b().endpoint;
  const Endpoint elsewhere = *Endpoint::parse("192.0.2.77:51900");
  const auto resolved = [&](Device& device, Actions& actions) {
    device.endpoint_resolved(kFarEnd, elsewhere, world.now(), actions);
  };
  world.a().with_device(resolved);
  EXPECT_EQ(world.a().status().endpoint, before);
  PeerConfig renamed = world.a().peer_config(false);
  renamed.endpoint_name = "new.example:51900";
  world.a().with_device([&](Device& device, Actions& actions) {
    ASSERT_TRUE(device.update_peer(std::move(renamed), world.now(), actions));
  });
  EXPECT_EQ(world.a().status().endpoint, before);
  world.a().with_device(resolved);
  EXPECT_EQ(world.a().status().endpoint, elsewhere);
  EXPECT_TRUE(world.a().status().session_up);
  world.a().with_device(
      [&](Device& device, Actions& actions) { device.endpoint_resolved(kFarEnd, before, world.now(), actions); });
  EXPECT_EQ(world.a().status().endpoint, elsewhere);
}

TEST(Fault, AnotherPreSharedKeyGetsNoAnswerAndNoKey) {
  World world({});
  world.b().adjust = [](PeerConfig& peer) { peer.psk.mutable_view()[1] = 1; };
  world.start();
  world.traffic(100ms, 20s, true, false);
  world.run(20s);
  EXPECT_TRUE(world.handshakes[1].empty());
  EXPECT_EQ(world.kms.ends[1].requests, 0U);
  EXPECT_TRUE(world.b().reported.empty());
}

TEST(Fault, StrangersCostNoStateNoLogLineAndNoKey) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  const auto asked = world.kms.ends[1].requests;
  const auto logged = world.b().reported;
  const auto answered = world.handshakes[1].size();
  const Bytes real = world.handshakes[0].front();
  for (int i = 0; i < 5000; ++i) {
    Bytes garbage(world.rng.below(1600));
    world.rng.fill(garbage);
    if (i % 2 == 0) {
      garbage = real;
      garbage[8 + world.rng.below(garbage.size() - 8)] ^= static_cast<std::uint8_t>(1 + world.rng.below(255));
    }
    world.inject(0, std::move(garbage), *Endpoint::parse("203.0.113.9:1"));
  }
  EXPECT_EQ(world.kms.ends[1].requests, asked);
  EXPECT_EQ(world.b().reported, logged);
  EXPECT_LE(world.handshakes[1].size(), answered + 1);
  EXPECT_TRUE(world.healthy());
}

// Messages 1 of a stranger who knows our public key: mac1 is right, nothing else is.
TEST(Fault, UnderAFloodAPeerProvesItsAddressByCookie) {
  Started world({});
  SeededRng rng(99);
  const auto stranger_key = crypto::generate_x25519(rng);
  const Identity stranger{stranger_key.clone(), crypto::x25519_public_key(stranger_key)};
  InitiationPayload payload;
  payload.policy = Bytes(4);
  const auto flood = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto initiation =
          Initiation::create(stranger, world.identities[1]->public_key, PreSharedKey{}, SessionIndex(1), payload, rng);
      ASSERT_TRUE(initiation);
      world.inject(0, initiation->message(), *Endpoint::parse("203.0.113.9:1"));
    }
  };
  flood(60);
  EXPECT_GT(world.b().device().statistics().cookies_sent, 0U);
  EXPECT_EQ(world.kms.ends[1].requests, 0U);
  const auto cookies = world.b().device().statistics().cookies_sent;
  world.a().send();
  for (int i = 0; i < 20; ++i) {
    world.run(100ms);
    flood(10);
  }
  EXPECT_EQ(world.b().received.size(), 1U);
  EXPECT_GT(world.b().device().statistics().cookies_sent, cookies);
  EXPECT_TRUE(world.b().events("session_up") == 1);
}

TEST(Fault, TheEndpointFollowsDataAndNotHandshakes) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  const Endpoint before = *world.b().status().endpoint;
  world.inject(0, world.handshakes[0].front(), *Endpoint::parse("203.0.113.9:1"));
  EXPECT_EQ(world.b().status().endpoint, before);
  world.a().endpoint.port = 40000;
  world.a().send();
  world.run(100ms);
  EXPECT_EQ(world.b().status().endpoint, world.a().endpoint);
  EXPECT_TRUE(world.healthy());
}

TEST(Fault, ReorderedPacketsOfAnOldEpochStillArrive) {
  Options options;
  options.interval = 5s;
  Started world(options);
  for (Link& link : world.links)
    link.jitter = 900ms;
  world.traffic(20ms, 40s);
  world.run(45s);
  EXPECT_EQ(world.a().sent, world.b().received);
  EXPECT_EQ(world.b().sent, world.a().received);
  EXPECT_GE(world.a().status().statistics.epochs, 7U);
}

TEST(Fault, ABusyResponderAsksItsKmsForOneHandshakeAtATime) {
  Started world({});
  world.kms.ends[1].silent = true;
  const auto asked = world.kms.ends[1].requests;
  // A restarts again and again: new messages 1 while the first is still asked for.
  for (int i = 0; i < 3; ++i) {
    world.a().restart();
    world.a().send();
    world.run(300ms);
  }
  EXPECT_EQ(world.kms.ends[1].requests, asked + 1);
  world.kms.ends[1].silent = false;
  EXPECT_TRUE(world.heals(10s));
}

}  // namespace
}  // namespace quipu::sim
