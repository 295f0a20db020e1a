// SPDX-License-Identifier: Apache-2.0
// Without faults nothing is lost, and each rule of the regular course holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

void expect_nothing_lost(World& world) {
  for (int i = 0; i < 2; ++i) {
    std::string lost;
    for (const std::uint64_t number : world.node(i).sent)
      if (!world.node(1 - i).received.contains(number)) lost += " " + std::to_string(number);
    EXPECT_EQ(lost, "") << "sent by " << i << " of " << world.node(i).sent.size();
  }
  EXPECT_EQ(world.a().duplicates + world.b().duplicates, 0U);
}

// How long A says that one on request took, or nothing if it did not come about.
std::optional<Duration> timed_rekey(World& world, Duration patience) {
  const PeerStatus before = world.a().status();
  world.rekey();
  const auto done = [&] {
    const PeerStatus status = world.a().status();
    return status.confirmed && status.epoch > before.epoch;
  };
  if (!world.run_until(done, patience)) return std::nullopt;
  const PeerStatistics after = world.a().status().statistics;
  const bool cold = after.rekey_cold.count() > before.statistics.rekey_cold.count();
  return cold ? after.rekey_cold.last() : after.rekey_warm.last();
}

TEST(Rekey, TheFirstPacketBringsTheTunnelUp) {
  Started world({});
  world.a().send();
  world.run(1s);
  EXPECT_EQ(world.b().received.size(), 1U);
  EXPECT_EQ(world.a().status().protection, "x25519+mlkem768+psk+qkd(1)");
  EXPECT_EQ(world.b().status().protection, "x25519+mlkem768+psk+qkd(1)");
  EXPECT_EQ(world.a().status().qkd, QkdState::ok);
}

TEST(Rekey, LosesNothing) {
  for (const Duration interval : {Duration(1s), Duration(2s), Duration(10s)}) {
    for (std::uint64_t seed = 1; seed <= seeds(4); ++seed) {
      Options options;
      options.seed = seed;
      options.interval = interval;
      World world(options);
      for (Link& link : world.links) {
        link.delay = Duration(1ms) * static_cast<int>(1 + world.rng.below(20));
        link.jitter = Duration(1ms) * static_cast<int>(world.rng.below(20));
      }
      world.start();
      world.traffic(5ms, 6 * interval);
      world.run(6 * interval + 1s);
      SCOPED_TRACE(seed);
      expect_nothing_lost(world);
      EXPECT_GE(world.a().status().statistics.epochs, 6U);
      // The end may have come in the middle of a rekey.
      const auto settled = [&] {
        return world.a().status().statistics.epochs == world.b().status().statistics.epochs && world.watch.agree();
      };
      EXPECT_TRUE(settled() || world.run_until(settled, 1s));
    }
  }
}

// One answer of a KMS that hangs is neither waited for beyond the epoch, nor does it stretch the interval so far that
// one end's keys die before the other end makes new ones.
TEST(Rekey, LosesNothingWhenAKmsHangsOnce) {
  for (int end = 0; end < 2; ++end)
    for (std::uint64_t seed = 1; seed <= seeds(10); ++seed) {
      Options options;
      options.seed = seed;
      options.interval = 1s;
      Started world(options);
      world.traffic(5ms, 30s);
      world.after(3s + Duration(1ms) * static_cast<int>(world.rng.below(1000)),
                  [&] { world.kms.ends[end].next_latency = 4s; });
      world.run(31s);
      SCOPED_TRACE(std::to_string(end) + " hangs, seed " + std::to_string(seed));
      expect_nothing_lost(world);
      EXPECT_FALSE(world.kms.ends[end].next_latency);
      EXPECT_EQ(world.a().events("session_expired") + world.b().events("session_expired"), 0U);
      EXPECT_LT(world.a().status().effective_rekey_interval, 1500ms);
    }
}

TEST(Rekey, FindsItsKeyFetchedAhead) {
  Options options;
  options.interval = 2s;
  World world(options);
  world.kms.ends[0].latency = world.kms.ends[1].latency = 300ms;
  world.start();
  world.traffic(20ms, 30s);
  world.run(30s);
  const PeerStatistics statistics = world.a().status().statistics;
  EXPECT_EQ(statistics.rekey_cold.count(), 1U);
  EXPECT_GE(statistics.rekey_cold.last(), 600ms);
  EXPECT_GE(statistics.rekey_warm.count(), 10U);
  // One round trip: no KMS was asked at either end.
  EXPECT_LE(statistics.rekey_warm.percentile(99), 10ms);
  EXPECT_EQ(statistics.keys_burnt, 0U);
}

// A turn of the event loop opens whatever has arrived: the announcement of the next keys and the runway, sent together,
// come to be read together.
TEST(Rekey, AnAnnouncementIsHeededThoughMoreFramesCameWithIt) {
  Started world({});
  world.b().batch = 2ms;
  world.a().device().key_stock(kFarEnd, 0, 30);
  ASSERT_TRUE(world.healthy());
  world.run(1s);
  EXPECT_EQ(world.kms.ends[1].delivered_named, 2U);
  EXPECT_EQ(world.b().status().peer_key_runway_s, 300U);
}

// A key for the next epoch that comes after its round is announced as well, or the far end would have to ask its KMS in
// the middle of the next handshake.
TEST(Rekey, AKeyThatCameLateIsAnnouncedToo) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.run(500ms);
  world.kms.ends[0].latency = 3s;
  const auto named = world.kms.ends[1].delivered_named;
  world.traffic(100ms, 30s);
  // The next epoch begins with the key at hand, and its own fetch ahead is answered late.
  ASSERT_TRUE(world.run_until([&] { return world.a().status().epoch == 2; }, 12s));
  EXPECT_EQ(world.kms.ends[1].delivered_named, named);
  world.run(4s);
  EXPECT_EQ(world.a().status().epoch, 2U);
  EXPECT_EQ(world.kms.ends[1].delivered_named, named + 1);
}

TEST(Rekey, AnIdleTunnelCostsNoKeys) {
  Started world({});
  world.a().send();
  world.run(60s);
  const auto asked = world.kms.ends[0].delivered_fresh;
  EXPECT_LE(asked, 2U + 1U);
  EXPECT_FALSE(world.a().status().session_up);
  EXPECT_FALSE(world.a().status().session_wanted);
  EXPECT_FALSE(world.b().status().session_wanted);
  world.run(600s);
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, asked);
  EXPECT_TRUE(world.healthy());
}

// ... but an epoch that the operator asks for is taken for one in use, and its successor is prepared.
TEST(Rekey, AnEpochThatWasAskedForIsFollowedByOneMore) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  world.run(600s);
  const auto asked = world.kms.ends[0].delivered_fresh;
  const auto epochs = world.a().status().statistics.epochs;
  world.rekey();
  world.run(1s);
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, asked + 2);
  world.run(600s);
  EXPECT_EQ(world.kms.ends[0].delivered_fresh, asked + 2);
  EXPECT_EQ(world.a().status().statistics.epochs, epochs + 2);
}

// Keys that wear out long before they are old.
Options soon_used_up() {
  Options options;
  options.interval = 3600s;
  options.key_limits.soft_packets = 100;
  options.key_limits.hard_packets = 200;
  return options;
}

TEST(Rekey, AKeyThatIsWornIsReplacedBeforeItIsUsedUp) {
  Started world(soon_used_up());
  world.traffic(10ms, 20s);
  world.run(21s);
  expect_nothing_lost(world);
  EXPECT_GE(world.a().status().statistics.epochs, 18U);
}

TEST(Rekey, AKeyThatIsUsedUpSealsNothingMore) {
  Started world(soon_used_up());
  ASSERT_TRUE(world.healthy());
  world.links[0].lose = world.links[1].lose = [](ByteView datagram) { return !Device::is_data(datagram); };
  world.traffic(10ms, 5s, true, false);
  world.run(5s);
  EXPECT_LE(world.b().received.size(), 200U);
  EXPECT_GT(world.a().status().statistics.drops[static_cast<std::size_t>(DropReason::key_limit)], 250U);
  world.links[0].lose = world.links[1].lose = {};
  world.run(5s);
  EXPECT_TRUE(world.healthy());
}

TEST(Rekey, AlwaysOnRekeysWithoutTraffic) {
  Options options;
  options.always_on = true;
  Started world(options);
  world.run(61s);
  EXPECT_GE(world.a().status().statistics.epochs, 6U);
  EXPECT_LE(world.a().status().statistics.epochs, 8U);
  EXPECT_TRUE(world.healthy());
}

TEST(Rekey, AtOnceOnTheOperatorsWordFromEitherEnd) {
  Started world({});
  ASSERT_TRUE(world.healthy());
  for (int i = 0; i < 2; ++i) {
    const auto before = world.a().status().epoch;
    world.node(i).with_device(
        [&](Device& device, Actions& actions) { EXPECT_TRUE(device.rekey_now(kFarEnd, world.now(), actions)); });
    world.run(1s);
    EXPECT_EQ(world.a().status().epoch, before + 1);
    EXPECT_EQ(world.b().status().epoch, before + 1);
  }
  EXPECT_TRUE(world.healthy());
}

// Both ends know how many handshakes the other one takes in a time.
TEST(Rekey, OnRequestIsNeverOneTooMany) {
  for (const Duration interval : {Duration(1s), Duration(2s), Duration(10s)}) {
    Started world({.interval = interval});
    for (Link& link : world.links)
      link.jitter = 20ms;
    ASSERT_TRUE(world.healthy());
    for (int i = 0; i < 20; ++i)
      EXPECT_LT(timed_rekey(world, 2s).value(), 100ms);
    EXPECT_EQ(world.a().status().statistics.rejects_received, 0U);
  }
}

// Two were begun just before. What went out all the same counts for the next one on request, too.
TEST(Rekey, ThatTheStampRefusedBeginsAnewAtOnceHoweverFewMayBeginInATime) {
  Started world({.interval = 2s});
  ASSERT_TRUE(world.healthy());
  world.run(1500ms);
  ASSERT_TRUE(timed_rekey(world, 2s));
  world.overtake(1);
  EXPECT_LT(timed_rekey(world, 2s).value_or(2s), 100ms);
  const auto refused = world.a().status().statistics.rejects_received;
  EXPECT_EQ(refused, 1U);
  world.links[0].delay = 1ms;  // a faster path, on which the next one would come too early by that much
  ASSERT_TRUE(timed_rekey(world, 2s));
  EXPECT_EQ(world.a().status().statistics.rejects_received, refused);
}

TEST(Rekey, TakesAsLongAsAllItsAttempts) {
  World world({.interval = 1s});
  world.b().adjust = [](PeerConfig& config) { config.rekey_interval = 10s; };  // takes one in a second
  world.start();
  ASSERT_TRUE(world.healthy());
  std::uint64_t refused = 0;
  for (int i = 0; i < 10; ++i) {
    const Duration took = timed_rekey(world, 9s).value();
    const auto refusals = world.a().status().statistics.rejects_received;
    EXPECT_EQ(took > kFirstBackoff, refusals > refused) << took.count() << " ns";
    refused = refusals;
  }
  EXPECT_GT(refused, 0U);
}

Duration longest_rekey(Node& node) {
  const PeerStatistics statistics = node.status().statistics;
  return std::max(statistics.rekey_warm.percentile(100), statistics.rekey_cold.percentile(100));
}

// While the peer is absent nobody wants anything, or each attempt is a decision of its own.
TEST(Rekey, DoesNotCountTheAbsenceOfThePeer) {
  for (const bool always_on : {false, true}) {
    Started world({.interval = 600s, .always_on = always_on});
    ASSERT_TRUE(world.healthy());
    world.run(500s);
    ASSERT_TRUE(world.healthy());  // carries something, so that the timer's rekey is due
    for (Link& link : world.links)
      link.cut = true;
    world.run(always_on ? 2500s : 400s);
    for (Link& link : world.links)
      link.cut = false;
    world.a().send();
    ASSERT_TRUE(world.heals(120s)) << always_on;
    world.run(1s);
    EXPECT_LT(std::max(longest_rekey(world.a()), longest_rekey(world.b())), 61s) << always_on;
  }
}

// A silence made one wanted, for which there was no key; then the peer was heard again.
TEST(Rekey, DoesNotCountFromAWantThatHasGone) {
  Started world(soon_used_up());
  world.a().send();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 5s));
  world.kms.set_available(false);  // before the next key is fetched ahead
  world.run(1s);
  world.links[1].cut = true;
  world.a().send();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 60s));
  world.kms.set_available(true);
  world.links[1].cut = false;
  world.b().send();
  world.run(60s);
  ASSERT_EQ(world.a().status().statistics.epochs, 1U);
  world.traffic(10ms, 5s);
  world.run(6s);
  EXPECT_GT(world.a().status().statistics.epochs, 1U);
  EXPECT_LT(longest_rekey(world.a()), 2s);
}

TEST(Rekey, DoesNotCountFromBeforeAnErasure) {
  Started world({.always_on = true});
  world.kms.set_available(false);
  world.run(60s);
  world.a().with_device([&](Device& device, Actions& actions) { device.erase_sessions(world.now(), actions); });
  world.kms.set_available(true);
  ASSERT_TRUE(world.heals(20s));
  const PeerStatistics statistics = world.a().status().statistics;
  ASSERT_EQ(statistics.rekey_cold.count() + statistics.rekey_warm.count(), 1U);
  EXPECT_LT(longest_rekey(world.a()), 20s);
}

TEST(Rekey, CountsOnThoughTheSessionDiesMeanwhile) {
  Started world({});
  world.traffic(100ms, 200s);
  world.run(5s);
  world.kms.set_available(false);
  ASSERT_TRUE(world.run_until([&] { return world.a().status().qkd == QkdState::stretch; }, 30s));
  const TimePoint refused = world.now();
  world.run(90s);
  ASSERT_FALSE(world.a().status().session_up);
  world.kms.set_available(true);
  ASSERT_TRUE(world.run_until([&] { return world.a().status().session_up; }, 20s));
  EXPECT_GE(longest_rekey(world.a()), world.now() - refused);
}

TEST(Rekey, DoesNotCountTheTimeInWhichTheEndsWereConfiguredDifferently) {
  World world({});
  world.b().adjust = [](PeerConfig& config) { config.tunnel = TunnelId(7); };
  world.start();
  world.traffic(100ms, 200s, true, false);
  world.run(90s);
  ASSERT_FALSE(world.a().status().session_up);
  world.b().adjust = {};
  world.b().restart();
  ASSERT_TRUE(world.run_until([&] { return world.a().status().session_up; }, kPolicyMismatchPause + 5s));
  ASSERT_EQ(world.a().status().statistics.rekey_cold.count() + world.a().status().statistics.rekey_warm.count(), 1U);
  EXPECT_LT(longest_rekey(world.a()), 5s);
}

// The key came too late for the first attempt, and lay there for the second.
TEST(Rekey, ThatHadToWaitForAKmsIsColdWhateverItsLastAttemptFound) {
  Started world({.interval = 10s});
  ASSERT_TRUE(world.healthy());
  world.run(20s);
  const PeerStatistics before = world.a().status().statistics;
  world.kms.ends[0].next_latency = kKmsDeadline + 100ms;
  EXPECT_GE(timed_rekey(world, 9s).value_or(0s), kKmsDeadline);
  const PeerStatistics after = world.a().status().statistics;
  EXPECT_EQ(after.attempts, before.attempts + 1) << "the first attempt got as far as a message 1";
  EXPECT_EQ(after.rekey_warm.count(), before.rekey_warm.count());
  EXPECT_EQ(after.rekey_cold.count(), before.rekey_cold.count() + 1);
}

TEST(Rekey, AColdStartFromBothEndsAtOnceSettles) {
  for (std::uint64_t seed = 1; seed <= seeds(20); ++seed) {
    Options options;
    options.seed = seed;
    World world(options);
    for (Link& link : world.links)
      link.delay = Duration(1ms) * static_cast<int>(1 + world.rng.below(300));
    world.start();
    world.a().send();
    world.b().send();
    world.run(3s);
    SCOPED_TRACE(seed);
    EXPECT_EQ(world.a().received.size(), 1U);
    EXPECT_EQ(world.b().received.size(), 1U);
    EXPECT_TRUE(world.healthy());
    EXPECT_LE(world.a().status().statistics.attempts + world.b().status().statistics.attempts, 3U);
  }
}

}  // namespace
}  // namespace quipu::sim
