// SPDX-License-Identifier: Apache-2.0
// What becomes of QKD keys when KMSs fail, lag or lie, and what the policy makes of it.
#include <gtest/gtest.h>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

std::uint64_t dropped(const PeerStatus& status, DropReason reason) {
  return status.statistics.drops[static_cast<std::size_t>(reason)];
}

TEST(Keys, EachIsUsedOnceAndNoneIsLostInPeace) {
  Options options;
  options.interval = 1s;
  Started world(options);
  world.traffic(20ms, 60s);
  world.run(61s);
  const auto statistics = world.a().status().statistics;
  EXPECT_GE(statistics.keys_used, 55U);
  EXPECT_EQ(statistics.keys_burnt + world.b().status().statistics.keys_burnt, 0U);
  // One at most is held for the next epoch.
  EXPECT_LE(world.kms.ends[0].delivered_fresh, statistics.keys_used + 1);
  EXPECT_EQ(world.kms.ends[1].delivered_fresh, 0U);
  EXPECT_EQ(world.b().status().statistics.keys_used, statistics.keys_used);
}

TEST(Keys, AnAbsentPeerCostsAKeyAMinute) {
  World world({});
  world.a().start();
  world.links[0].cut = true;
  world.traffic(500ms, 600s, true, false);
  world.run(600s);
  EXPECT_GE(world.kms.ends[0].delivered_fresh, 9U);
  EXPECT_LE(world.kms.ends[0].delivered_fresh, 11U);
  // Every 2 s and not faster.
  EXPECT_LE(world.a().handshakes_sent, 600U / 2 + 10 * 4);
}

TEST(Keys, AnAbsentPeerCostsNothingWhenNobodySends) {
  World world({});
  world.a().start();
  EXPECT_FALSE(world.a().status().session_wanted);
  world.a().send();
  EXPECT_TRUE(world.a().status().session_wanted);
  world.run(600s);
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, 1U);
  EXPECT_EQ(world.a().status().queued_packets, 0U);
  // Nothing is under way, and yet this is no tunnel at rest: its last attempt came to nothing.
  EXPECT_FALSE(world.a().status().handshake_under_way);
  EXPECT_TRUE(world.a().status().session_wanted);
  world.b().start();
  world.a().send();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 10s));
  EXPECT_FALSE(world.a().status().session_wanted);
}

// ... not even when it vanished in the middle of a handshake.
TEST(Keys, AnAbsentPeerWithUnconfirmedKeysCostsNothingWhenNobodySends) {
  Options options;
  options.interval = 3600s;
  Started world(options);
  world.links[0].lose = [](ByteView datagram) { return Device::is_data(datagram); };
  world.a().send();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 2s));
  world.links[0].cut = world.links[1].cut = true;
  world.run(3600s);
  // The one of the unconfirmed epoch, and one to replace it.
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, 2U);
  EXPECT_FALSE(world.a().status().session_up);
  world.links[0] = world.links[1] = Link{};
  EXPECT_TRUE(world.healthy());
}

// ... nor when the epoch that it left behind had carried something.
TEST(Keys, AnAbsentPeerThatLeftASessionBehindCostsNothingWhenNobodySends) {
  Options options;
  options.interval = 3600s;
  Started world(options);
  ASSERT_TRUE(world.healthy());
  world.links[0].cut = world.links[1].cut = true;
  const auto before = world.kms.ends[0].delivered_fresh + world.kms.ends[1].delivered_fresh;
  world.run(14400s);
  // At the regular initiator one for the rekey that comes to nothing, at each end one when the session has ended.
  EXPECT_LE(world.kms.ends[0].delivered_fresh + world.kms.ends[1].delivered_fresh, before + 3);
  world.links[0] = world.links[1] = Link{};
  world.a().send();
  EXPECT_TRUE(world.run_until([&] { return world.a().status().confirmed; }, 10s));
}

TEST(Keys, ALateKeyIsUsedWhenItIsNamedAgain) {
  Started world({});
  world.kms.ends[1].latency = 2500ms;
  world.traffic(200ms, 10s, true, false);
  ASSERT_TRUE(world.run_until([&] { return !world.b().received.empty(); }, 10s));
  // The far end's KMS gave the one key once, after the deadline of the first handshake.
  EXPECT_EQ(world.kms.ends[1].delivered_named, 1U);
  EXPECT_EQ(world.a().status().statistics.keys_burnt, 0U);
  EXPECT_EQ(world.a().status().statistics.keys_used, 1U);
  EXPECT_GE(world.a().status().statistics.rejects_received, 1U);
}

TEST(Keys, AKeyThatIsNotYetKnownThereIsAskedForAgain) {
  Started world({});
  world.kms.synchronised_after = 700ms;
  world.a().send();
  ASSERT_TRUE(world.run_until([&] { return !world.b().received.empty(); }, 2s));
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, 1U);
  EXPECT_EQ(world.a().status().statistics.rejects_received, 0U);
}

TEST(Keys, AKeyThatIsUnknownThereIsBurntAndAnotherOneTried) {
  Started world({});
  world.kms.synchronised_after = 3600s;
  world.traffic(200ms, 20s, true, false);
  const auto statistics = [&] { return world.a().status().statistics; };
  for (std::uint64_t refused = 1; refused <= kImmediateRetries + 1; ++refused) {
    ASSERT_TRUE(world.run_until([&] { return statistics().rejects_received == refused; }, 3s));
    const bool at_once = world.run_until([&] { return statistics().attempts > refused; }, 100ms);
    EXPECT_EQ(at_once, refused <= kImmediateRetries) << refused;
  }
  EXPECT_EQ(statistics().keys_burnt, kImmediateRetries + 1U);
  world.kms.synchronised_after = {};
  world.run(10s);
  EXPECT_TRUE(world.healthy());
}

TEST(Keys, AnOutageStretchesTheEpochAndThenBlocks) {
  Started world({});
  world.traffic(100ms, 100s);
  world.run(12s);
  ASSERT_EQ(world.a().status().qkd, QkdState::ok);
  world.kms.set_available(false);
  // The key that was fetched ahead makes one more epoch.
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 20s));
  EXPECT_TRUE(world.a().status().session_up);
  const auto received = world.b().received.size();
  world.run(10s);
  EXPECT_GT(world.b().received.size(), received + 95);
  EXPECT_EQ(world.a().status().qkd, QkdState::stretch);
  world.run(12s);
  EXPECT_EQ(world.a().status().qkd, QkdState::block);
  EXPECT_FALSE(world.a().status().session_up);
  // Nothing waits and nothing leaves.
  const auto before = world.b().received.size();
  world.run(5s);
  EXPECT_EQ(world.b().received.size(), before);
  EXPECT_GT(dropped(world.a().status(), DropReason::blocked), 40U);
  world.kms.set_available(true);
  world.run(10s);
  EXPECT_EQ(world.a().status().qkd, QkdState::ok);
  EXPECT_TRUE(world.healthy());
  EXPECT_GE(world.a().events("qkd_state"), 3U);
}

TEST(Keys, PreferredGoesOnWithoutAndSaysSo) {
  Options options;
  options.qkd = QkdUse::preferred;
  Started world(options);
  world.traffic(100ms, 60s);
  world.kms.ends[0].available = false;
  world.run(25s);
  EXPECT_EQ(world.a().status().protection, "x25519+mlkem768+psk");
  EXPECT_EQ(world.a().status().qkd, QkdState::reduced);
  EXPECT_EQ(world.b().status().qkd, QkdState::reduced);
  EXPECT_EQ(world.a().status().statistics.reduced_epochs, world.a().status().statistics.epochs);
  EXPECT_EQ(world.a().events("epoch_reduced"), world.a().status().statistics.epochs);
  world.kms.ends[0].available = true;
  world.run(21s);
  EXPECT_EQ(world.a().status().protection, "x25519+mlkem768+psk+qkd(1)");
  EXPECT_EQ(world.a().status().qkd, QkdState::ok);
}

TEST(Keys, OffAsksNobody) {
  Options options;
  options.qkd = QkdUse::off;
  Started world(options);
  world.traffic(100ms, 30s);
  world.run(31s);
  EXPECT_TRUE(world.healthy());
  EXPECT_EQ(world.kms.ends[0].requests + world.kms.ends[1].requests, 0U);
  EXPECT_EQ(world.a().status().protection, "x25519+mlkem768+psk");
  EXPECT_EQ(world.a().status().qkd, QkdState::off);
}

TEST(Keys, OneOfTwoSourcesIsEnoughWhenThePolicySaysSoAndIsReported) {
  for (const bool at_initiator : {true, false}) {
    Options options;
    options.sources = 2;
    options.min_sources = 1;
    Started world(options);
    ASSERT_TRUE(world.healthy());
    EXPECT_EQ(world.a().status().protection, "x25519+mlkem768+psk+qkd(2)");
    world.kms.ends[at_initiator ? 0 : 1].slots_down = {0};
    world.traffic(100ms, 60s);
    world.run(30s);
    EXPECT_EQ(world.a().status().protection, "x25519+mlkem768+psk+qkd(1)");
    EXPECT_EQ(world.b().status().protection, "x25519+mlkem768+psk+qkd(1)");
    EXPECT_EQ(world.a().status().qkd, QkdState::reduced);
    EXPECT_EQ(world.b().status().qkd, QkdState::reduced);
    EXPECT_EQ(world.a().events("epoch_reduced"), world.a().status().statistics.reduced_epochs);
    EXPECT_GE(world.a().events("epoch_reduced"), 1U);
    world.kms.ends[at_initiator ? 0 : 1].slots_down = {};
    world.run(30s);
    EXPECT_EQ(world.a().status().qkd, QkdState::ok);
  }
}

TEST(Keys, OneOfTwoSourcesIsNotEnoughByDefault) {
  Options options;
  options.sources = 2;
  Started world(options);
  ASSERT_TRUE(world.healthy());
  world.kms.ends[1].slots_down = {0};
  world.traffic(100ms, 45s);
  world.run(45s);
  EXPECT_FALSE(world.a().status().session_up);
  EXPECT_EQ(world.a().status().qkd, QkdState::block);
}

TEST(Keys, ASessionThatIsErasedWhileItIsStretchedLeavesABlock) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.kms.set_available(false);
  world.traffic(100ms, 60s);
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 40s));
  world.a().with_device([&](Device& device, Actions& actions) { device.erase_sessions(world.now(), actions); });
  EXPECT_EQ(world.a().status().qkd, QkdState::block);
  world.kms.set_available(true);
  ASSERT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 10s));
  EXPECT_EQ(world.a().status().qkd, QkdState::ok);
}

TEST(Keys, DifferentKeysAtTheTwoEndsMakeNoSession) {
  Started world({});
  world.kms.ends[1].wrong_keys = true;
  world.traffic(100ms, 40s);
  world.run(30s);
  EXPECT_EQ(world.a().received.size() + world.b().received.size(), 0U);
  EXPECT_EQ(world.a().status().statistics.epochs + world.b().status().statistics.epochs, 0U);
  world.kms.ends[1].wrong_keys = false;
  world.run(10s);
  EXPECT_TRUE(world.healthy());
}

TEST(Keys, AKmsThatRepeatsItselfIsRefused) {
  Options options;
  options.interval = 2s;
  Started world(options);
  world.kms.ends[0].repeats = world.kms.ends[1].repeats = true;
  world.traffic(100ms, 8s);
  world.run(8s);
  EXPECT_EQ(world.a().status().statistics.keys_used, 1U);
  EXPECT_GE(world.a().events("key_repeated"), 1U);
}

TEST(Keys, AKeyOfZerosIsRefused) {
  Started world({});
  world.kms.ends[0].zeros = true;
  world.a().send();
  world.run(5s);
  EXPECT_FALSE(world.a().status().session_up);
  EXPECT_GE(world.a().events("key_refused"), 1U);
  EXPECT_EQ(world.a().handshakes_sent, 0U);
}

TEST(Keys, TheIntervalGrowsWithRoundTripAndKms) {
  Options options;
  options.interval = 1s;
  Started world(options);
  world.kms.ends[0].latency = 1200ms;
  for (Link& link : world.links)
    link.delay = 100ms;
  world.traffic(50ms, 20s);
  world.run(20s);
  const PeerStatus status = world.a().status();
  EXPECT_EQ(status.rekey_interval, 1s);
  EXPECT_GE(status.rtt, 200ms);
  EXPECT_GE(status.effective_rekey_interval, 4 * 200ms + 1200ms);
  EXPECT_LE(status.statistics.epochs, 11U);
}

// ... but not so far that the keys die before they are replaced.
TEST(Keys, TheIntervalStaysInsideOfTheKeysAge) {
  Options options;
  options.interval = 1s;
  Started world(options);
  for (Link& link : world.links)
    link.delay = 300ms;
  world.traffic(50ms, 30s);
  world.run(30s);
  EXPECT_GE(world.a().status().rtt, 600ms);
  EXPECT_GT(world.a().status().effective_rekey_interval, 1s);
  EXPECT_LE(world.a().status().effective_rekey_interval, 1200ms);
  EXPECT_EQ(world.a().events("session_expired") + world.b().events("session_expired"), 0U);
}

TEST(Keys, TheRunwayIsToldToThePeer) {
  Started world({});
  world.a().device().key_stock(kFarEnd, 0, 30);
  ASSERT_TRUE(world.healthy());
  world.run(1s);
  EXPECT_EQ(world.a().status().key_runway_s, 300U);
  EXPECT_EQ(world.b().status().peer_key_runway_s, 300U);
  world.a().device().key_stock(kFarEnd, 0, std::nullopt);
  EXPECT_EQ(world.a().status().key_runway_s, std::nullopt);
  world.traffic(100ms, 12s);
  world.run(12s);
  EXPECT_EQ(world.b().status().peer_key_runway_s, std::nullopt) << "the next announcement takes it back";
}

TEST(Keys, AKeyThatWasUsedIsRefusedThoughTheKmsStillHasIt) {
  Started world({});
  world.kms.hands_out_again = true;
  ASSERT_TRUE(world.healthy());
  const KeyId used = *world.kms.first_fresh;
  world.run(2s);  // beyond the head that a crossing gives
  const auto asked = world.kms.ends[1].requests;
  const auto rejects = world.b().status().statistics.rejects_sent;
  InitiationPayload payload;
  payload.stamp = Stamp(1000);
  payload.policy = policy_on_wire(
      world.a().peer_config(true).policy.canonical(world.identities[0]->public_key, world.identities[1]->public_key));
  payload.keys = {{0, KeyKind::etsi014, used, {}, 0}};
  const auto initiation = Initiation::create(*world.identities[0], world.identities[1]->public_key, world.psk,
                                             SessionIndex(1), payload, world.rng);
  ASSERT_TRUE(initiation);
  world.transmit(0, initiation->message(), world.b().endpoint, true);  // under the eyes of the watch
  world.run(100ms);
  EXPECT_EQ(world.kms.ends[1].requests, asked);
  EXPECT_EQ(world.b().status().statistics.rejects_sent, rejects + 1);
}

std::uint64_t accounted(const Node& node) {
  const PeerStatus status = node.status();
  EXPECT_EQ(status.statistics.keys_burnt, node.keys_burnt);
  return status.statistics.keys_used + status.statistics.keys_burnt + status.keys_held;
}

TEST(Keys, WhatIsRefusedIsBurnt) {
  Started world({});
  world.kms.ends[0].zeros = true;
  world.a().send();
  world.run(5s);
  EXPECT_GE(world.a().keys_delivered, 1U);
  EXPECT_EQ(world.a().keys_burnt, world.a().keys_delivered);
  EXPECT_EQ(accounted(world.a()), world.a().keys_delivered);
}

TEST(Keys, WhatIsDeliveredToASessionThatWasErasedIsBurnt) {
  Started world({});
  world.kms.ends[0].latency = 1s;
  world.a().send();
  world.run(500ms);
  world.a().with_device([&](Device& device, Actions& actions) { device.erase_sessions(world.now(), actions); });
  world.run(2s);
  EXPECT_EQ(world.a().keys_delivered, 1U);
  EXPECT_EQ(world.a().keys_burnt, 1U);
  EXPECT_EQ(accounted(world.a()), 1U);
}

TEST(Keys, WhatIsDeliveredForAPeerThatHasGoneIsBurnt) {
  Started world({});
  world.kms.ends[0].latency = 1s;
  world.a().send();
  world.run(500ms);
  world.a().with_device(
      [&](Device& device, Actions& actions) { ASSERT_TRUE(device.remove_peer(kFarEnd, world.now(), actions)); });
  world.run(2s);
  EXPECT_EQ(world.a().keys_delivered, 1U);
  EXPECT_EQ(world.a().keys_burnt, 1U);
}

// A KMS so slow that more requests are out than are remembered.
TEST(Keys, WhatComesLaterThanAnybodyRemembersIsBurnt) {
  Options options;
  options.sources = 2;
  Started world(options);
  world.kms.ends[0].latency = 600s;
  world.traffic(1s, 900s, true, false);
  world.run(1600s);
  EXPECT_GT(world.a().keys_delivered, 64U);
  EXPECT_GT(world.a().keys_burnt, 32U);
  EXPECT_EQ(accounted(world.a()), world.a().keys_delivered);
}

}  // namespace
}  // namespace quipu::sim
