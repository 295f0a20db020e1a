// SPDX-License-Identifier: Apache-2.0
// Devices with several lanes, each of which hears of the others later than of itself.
#include <gtest/gtest.h>

#include "protocol/timing.h"
#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

class Lanes : public testing::Test {
 protected:
  // Both ways on every lane, so often.
  void carry(Duration interval, Duration duration, bool by_first_lane = true) {
    const TimePoint end = m_world.now() + duration;
    for (; m_world.now() < end; m_world.run(interval))
      for (std::size_t lane = by_first_lane ? 0 : 1; lane < m_world.options.lanes; ++lane)
        for (int i = 0; i < 2; ++i)
          m_world.node(i).send({.lane = lane});
  }

  // Everything has arrived, once.
  void expect_all_arrived() {
    m_world.run(1s);
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(m_world.node(i).received, m_world.node(1 - i).sent) << i;
      EXPECT_EQ(m_world.node(i).duplicates, 0U) << i;
    }
  }

  // The first packet of a lane has it probed.
  void bring_up() {
    carry(100ms, 1s);
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(m_world.node(i).status().lanes, 4U) << i;
      EXPECT_EQ(m_world.node(i).status().lanes_in_use, 4U) << i;
    }
  }

  static std::size_t lane_of(ByteView datagram) { return Device::is_data(datagram) ? datagram[2] : 0; }

  Started m_world{{.interval = 2s, .lanes = 4}};
};

TEST_F(Lanes, CarryThroughRekeysWithoutLoss) {
  bring_up();
  carry(10ms, 20s);
  EXPECT_GE(m_world.a().status().epoch, 9U);
  for (int i = 0; i < 2; ++i)
    EXPECT_GT(m_world.node(i).sent_by_lanes, m_world.node(i).sent.size() / 2) << i;
  expect_all_arrived();
  const PeerStatistics& statistics = m_world.a().status().statistics;
  EXPECT_EQ(statistics.tx_packets, m_world.a().sent.size());
  EXPECT_EQ(statistics.rx_packets, m_world.a().received.size());
}

TEST_F(Lanes, CarryThroughRekeysOnABadLinkAsTheFirstLaneDoes) {
  bring_up();
  for (Link& link : m_world.links)
    link = {.delay = 5ms, .jitter = 20ms, .loss = 0.1, .duplication = 0.1, .cut = false, .lose = {}};
  carry(20ms, 30s);
  for (int i = 0; i < 2; ++i) {
    EXPECT_GT(m_world.node(i).received.size(), m_world.node(1 - i).sent.size() * 8 / 10) << i;
    EXPECT_EQ(m_world.node(i).duplicates, 0U) << i;
  }
  EXPECT_TRUE(m_world.heals(10s));
}

// A tunnel whose first lane has nothing to say of its own is alive as long as the others are.
TEST_F(Lanes, AreSignsOfLifeAndReasonsToRekey) {
  bring_up();
  const auto before = m_world.a().status();
  carry(10ms, 20s, false);
  EXPECT_EQ(m_world.a().status().statistics.attempts - before.statistics.attempts,
            m_world.a().status().epoch - before.epoch)
      << "each attempt was a rekey";
  EXPECT_GE(m_world.a().status().epoch, before.epoch + 9);
  EXPECT_EQ(m_world.a().events("session_expired") + m_world.b().events("session_expired"), 0U);
  expect_all_arrived();
}

// What is sent and not answered makes a handshake wanted, whichever lane it went by: here at the end that starts none
// otherwise, before the lane is given up.
TEST_F(Lanes, NoticeADeadPeer) {
  Started world{{.interval = 60s, .lanes = 2}};
  for (int i = 0; i < 10; ++i, world.run(100ms))
    world.b().send({.lane = 1});
  world.links[0].cut = true;
  const std::uint64_t attempts = world.b().status().statistics.attempts;
  const std::uint64_t by_first_lane = world.b().sent.size() - world.b().sent_by_lanes;
  world.b().send({.lane = 1});
  world.run(kDeadSession + kLaneReport + 100ms);
  EXPECT_EQ(world.b().sent.size() - world.b().sent_by_lanes, by_first_lane);
  EXPECT_EQ(world.b().status().statistics.attempts, attempts + 1);
}

TEST_F(Lanes, ThatDoNotGetThroughLeaveTheirPacketsToTheFirst) {
  bring_up();
  for (Link& link : m_world.links)
    link.lose = [](ByteView datagram) { return lane_of(datagram) == 2; };
  carry(100ms, kLaneConfirm + kLaneDeadline + 1s);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(m_world.node(i).status().lanes_in_use, 3U) << i;
  for (int i = 0; i < 2; ++i)
    m_world.node(i).received = m_world.node(1 - i).sent;
  carry(100ms, 3s);
  expect_all_arrived();
  for (Link& link : m_world.links)
    link.lose = nullptr;
  carry(100ms, kLaneRetry);
  EXPECT_EQ(m_world.a().status().lanes_in_use, 4U) << "it is tried again";
}

// A's next handshake finds it, where the first lane has not been heard since.
TEST_F(Lanes, ShowWhereAPeerIsThatMoved) {
  bring_up();
  m_world.b().endpoint = *Endpoint::parse("203.0.113.7:51900");
  for (int i = 0; i < 200; ++i, m_world.run(20ms))
    m_world.b().send({.lane = 1});
  EXPECT_EQ(m_world.a().status().endpoint, m_world.b().endpoint);
  for (int i = 0; i < 2; ++i)
    m_world.node(i).received = m_world.node(1 - i).sent;
  carry(100ms, 2s);
  expect_all_arrived();
}

// Of whoever holds back a packet of one lane, and sends it later from elsewhere; or of an address translator that gives
// each lane an address of its own.
TEST_F(Lanes, DoNotMoveTheFirstWhileItIsHeard) {
  Started world{{.interval = 600s, .lanes = 2}};
  for (int i = 0; i < 20; ++i, world.run(50ms))
    world.a().send({.lane = 1});
  Bytes held;
  world.links[0].lose = [&held](ByteView datagram) {
    if (lane_of(datagram) != 1) return false;
    held.assign(datagram.begin(), datagram.end());
    return true;
  };
  world.a().send({.lane = 1});
  ASSERT_FALSE(held.empty());
  for (int i = 0; i < 200; ++i, world.run(20ms)) {
    world.a().send();
    world.b().send();
  }
  const auto before = world.b().status().endpoint;
  world.b().receive(held, *Endpoint::parse("203.0.113.66:6"), 1);
  world.run(100ms);
  EXPECT_EQ(world.b().status().endpoint, before);
}

// The initiator learns that its keys are known from whatever opens under them.
TEST_F(Lanes, ConfirmKeysWhereTheFirstLanesAnswerIsLost) {
  bring_up();
  bool answered = false;  // a message 1, and nothing by the first lane since
  m_world.links[1].lose = [&answered](ByteView datagram) {
    if (is_response(datagram)) answered = true;
    const bool first = Device::is_data(datagram) && lane_of(datagram) == 0;
    return first && std::exchange(answered, false);
  };
  const auto before = m_world.a().status();
  carry(10ms, 20s, false);
  const auto after = m_world.a().status();
  EXPECT_GE(after.epoch, before.epoch + 8);
  EXPECT_LE(after.epoch, before.epoch + 11) << "each answer that was lost would cost another handshake";
}

TEST_F(Lanes, KeepThePortOfNoneButThemselvesOpen) {
  World world{{.interval = 600s, .lanes = 2}};
  world.a().adjust = [](PeerConfig& peer) { peer.persistent_keepalive = 5s; };
  world.start();
  std::size_t by_first_lane = 0;
  world.links[0].lose = [&by_first_lane](ByteView datagram) {
    if (lane_of(datagram) == 0) ++by_first_lane;
    return false;
  };
  for (int i = 0; i < 1000; ++i, world.run(100ms)) {
    world.a().send({.lane = 1});
    world.b().send({.lane = 1});
  }
  EXPECT_GE(by_first_lane, 19U);
}

TEST_F(Lanes, AreProbedAnewAfterALongSilence) {
  bring_up();
  m_world.run(kLaneForgotten + 5s);
  EXPECT_EQ(m_world.b().status().lanes_in_use, 1U);
  for (Link& link : m_world.links)
    link.lose = [](ByteView datagram) { return lane_of(datagram) == 1; };
  for (int i = 0; i < 2; ++i)
    m_world.node(i).received = m_world.node(1 - i).sent;
  carry(100ms, 3s);
  expect_all_arrived();
}

// To be probed is not to carry something: a tunnel is as soon idle, whichever lane it used.
TEST(IdleLanes, MakeNoEpochsOfTheirOwn) {
  std::array<std::uint64_t, 2> epochs{};
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    for (std::size_t lane = 0; lane < 2; ++lane) {
      Started world{{.seed = seed, .interval = 5s, .lanes = 2}};
      for (std::uint64_t i = 0; i < 200 + 10 * seed; ++i, world.run(20ms))
        for (int end = 0; end < 2; ++end)
          world.node(end).send({.lane = lane});
      const std::uint64_t before = world.a().status().statistics.epochs;
      world.run(60s);
      epochs[lane] += world.a().status().statistics.epochs - before;
    }
  EXPECT_LE(epochs[1], epochs[0] + 3);
}

TEST_F(Lanes, HaveNothingToSealWithAfterAReset) {
  bring_up();
  const std::uint64_t before = m_world.a().sent_by_lanes;
  m_world.links[0].cut = m_world.links[1].cut = true;
  m_world.a().with_device([&](Device& device, Actions& actions) { device.erase_sessions(m_world.now(), actions); });
  m_world.run(10ms);
  m_world.a().send({.lane = 1});
  EXPECT_EQ(m_world.a().sent_by_lanes, before);
}

TEST_F(Lanes, WhoseEndsDifferAreAsManyAsBothHave) {
  Started world{{.interval = 2s, .lanes = 4}};
  world.b().lanes = 2;
  world.b().start();
  for (int i = 0; i < 40; ++i, world.run(100ms))
    for (std::size_t lane = 0; lane < 4; ++lane)
      world.a().send({.lane = lane});
  EXPECT_EQ(world.a().status().lanes, 2U);
  EXPECT_EQ(world.a().status().lanes_in_use, 2U);
  EXPECT_EQ(world.b().received.size(), world.a().sent.size());
}

}  // namespace
}  // namespace quipu::sim
