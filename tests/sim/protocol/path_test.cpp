// SPDX-License-Identifier: Apache-2.0
// Paths that lose whatever is longer than they are wide.
#include <gtest/gtest.h>

#include "protocol/path_mtu.h"
#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

constexpr std::size_t kWanted = 1400;

std::uint64_t too_big(const Node& node) {
  return node.status().statistics.drops[static_cast<std::size_t>(DropReason::too_big)];
}

class Path : public testing::Test {
 protected:
  // In octets of inner packet, both ways.
  void widen_to(std::size_t width) {
    for (Link& link : m_world.links)
      link.width = width + kMaxOverhead;
  }

  void carry(Duration duration) {
    m_world.traffic(100ms, duration);
    m_world.run(duration);
  }

  // Packets as large as they come, which are lost where the path is narrow, and refused by whoever knows that it is.
  void carry_large(Duration duration) {
    for (const TimePoint end = m_world.now() + duration; m_world.now() < end; m_world.run(100ms)) {
      m_world.a().send(kWanted);
      m_world.b().send(kWanted);
    }
  }

  void cut(bool is_cut) {
    for (Link& link : m_world.links)
      link.cut = is_cut;
  }

  void expect_none_refused() { EXPECT_EQ(too_big(m_world.a()) + too_big(m_world.b()), 0U); }

  // Counts what A sends that is as long as a probe, until the end of the test.
  void count_large(std::size_t& count) {
    m_world.links[0].lose = [&count](ByteView datagram) {
      if (Device::is_data(datagram) && datagram.size() >= kBasePathMtu) ++count;
      return false;
    };
  }

  // Both ends know the width, and a packet of the size that they know arrives.
  void expect_width(std::size_t width) {
    for (int i = 0; i < 2; ++i) {
      const std::size_t limit = m_world.node(i).status().path_mtu;
      EXPECT_LE(limit, width) << i;
      EXPECT_GT(limit + kPathMtuStep, width) << i;
      const std::uint64_t number = m_world.node(i).send(limit);
      m_world.run(100ms);
      EXPECT_TRUE(m_world.node(1 - i).received.contains(number)) << i;
    }
  }

  Started m_world{{.interval = 5s}};
};

TEST_F(Path, AWideOneCostsNoPacket) {
  carry_large(120s);
  expect_width(kWanted);
  expect_none_refused();
}

TEST_F(Path, ANarrowOneIsFoundAndFilled) {
  widen_to(1300);
  carry(30s);
  expect_width(1300);
  const std::uint64_t number = m_world.a().send(1301);
  m_world.run(100ms);
  EXPECT_FALSE(m_world.b().received.contains(number));
  EXPECT_EQ(too_big(m_world.a()), 1U) << "not sent, and counted";
}

TEST_F(Path, PacketsWithoutDfGoInFragments) {
  widen_to(1300);
  carry(30s);
  std::uint64_t number = m_world.a().send(kWanted, false);
  m_world.run(100ms);
  EXPECT_TRUE(m_world.b().received.contains(number));
  m_world.a().with_device([this](Device& device, Actions& actions) { device.erase_sessions(m_world.now(), actions); });
  number = m_world.a().send(kWanted, false);
  m_world.run(3s);
  EXPECT_TRUE(m_world.b().received.contains(number)) << "though it waited for the session";
  expect_none_refused();
}

TEST_F(Path, OneThatNarrowsAndWidensIsFollowed) {
  carry(5s);
  widen_to(1250);
  carry(65s);
  expect_width(1250);
  widen_to(1380);
  carry(660s);
  expect_width(1380);
  widen_to(kWanted);
  carry(660s);
  expect_width(kWanted);
}

TEST_F(Path, OneThatIsNarrowInOneDirectionIsWideInTheOther) {
  m_world.links[0].lose = [](ByteView datagram) { return datagram.size() > 1300 && Device::is_data(datagram); };
  carry(30s);
  EXPECT_LT(m_world.a().status().path_mtu, 1300U);
  EXPECT_EQ(m_world.b().status().path_mtu, kWanted);
}

TEST_F(Path, AnOutageDoesNotNarrowIt) {
  for (int i = 0; i < 100; ++i) {  // so that one begins before the path is confirmed, and ends while it is
    carry_large(9300ms);
    cut(true);
    carry_large(i == 50 ? 20s : 1s);
    cut(false);
    EXPECT_TRUE(m_world.heals(15s));
  }
  carry_large(60s);
  expect_width(kWanted);
  expect_none_refused();
}

TEST_F(Path, AnOutageDuringTheSearchDoesNotPinIt) {
  widen_to(1380);
  for (const Duration length : std::initializer_list<Duration>{2s, 8s})
    for (Duration begins{}; begins < 25s; begins += 500ms) {
      m_world.b().restart();
      m_world.a().restart();
      ASSERT_TRUE(m_world.heals(15s));
      carry(begins);
      cut(true);
      carry(length);
      cut(false);
      carry(80s);
      expect_width(1380);
    }
}

// The end that makes no handshake knows of no round trip but that of its probes.
TEST_F(Path, ALongOneIsMeasuredFromBothEnds) {
  for (Link& link : m_world.links)
    link.delay = 600ms;
  carry_large(60s);
  expect_none_refused();
  widen_to(1300);
  carry(120s);
  for (Link& link : m_world.links)
    link.delay = 5ms;
  expect_width(1300);
}

TEST_F(Path, ALossyOneKeepsItsWidth) {
  for (Link& link : m_world.links)
    link.loss = 0.2;
  carry_large(120s);
  for (Link& link : m_world.links)
    link.loss = 0;
  EXPECT_GT(m_world.a().status().path_mtu + kPathMtuStep, kWanted);
  EXPECT_GT(m_world.b().status().path_mtu + kPathMtuStep, kWanted);
  expect_none_refused();
}

// Rekeys go on, and no probe is sent: nothing is longer than a handshake's first packet, a keepalive or a key's name.
TEST_F(Path, ATunnelThatCarriesNothingSendsNoProbe) {
  carry(5s);
  m_world.run(15s);
  std::size_t longest = 0;
  for (Link& link : m_world.links)
    link.lose = [&longest](ByteView datagram) {
      if (Device::is_data(datagram)) longest = std::max(longest, datagram.size());
      return false;
    };
  m_world.run(120s);
  EXPECT_LT(longest, kBasePathMtu);
}

TEST(IdlePath, OnePacketHasItConfirmedOnce) {
  Started world({.interval = 1h});
  world.healthy();
  world.run(60s);
  std::size_t large = 0;
  world.links[0].lose = [&large](ByteView datagram) {
    if (Device::is_data(datagram) && datagram.size() >= kBasePathMtu) ++large;
    return false;
  };
  world.a().send();
  world.run(600s);
  EXPECT_EQ(large, 1U);
  world.b().send();
  world.run(600s);
  EXPECT_EQ(large, 1U) << "what only receives needs to know nothing";
}

TEST_F(Path, AnotherEndpointIsProbedAtOnce) {
  carry(5s);
  widen_to(1300);
  m_world.b().endpoint = *Endpoint::parse("203.0.113.9:4000");
  carry(30s);
  EXPECT_EQ(m_world.a().status().endpoint, m_world.b().endpoint);
  EXPECT_LE(m_world.a().status().path_mtu, 1300U);
}

// As a peer does that roams, or somebody who sends the peer's newest packets again from elsewhere.
TEST_F(Path, AnEndpointThatFlipsIsNotProbedEachTime) {
  carry(20s);
  const Endpoint home = m_world.b().endpoint;
  std::size_t large = 0;
  count_large(large);
  for (int i = 0; i < 500; ++i) {
    m_world.b().endpoint = i % 2 == 0 ? *Endpoint::parse("203.0.113.9:4000") : home;
    m_world.a().send();
    m_world.b().send();
    m_world.run(100ms);
  }
  EXPECT_LE(large, 15U) << "in 50 s";
  const std::size_t before = large;
  m_world.b().endpoint = *Endpoint::parse("203.0.113.9:4000");
  carry(30s);
  EXPECT_GT(large, before) << "where it stays at last is probed";
}

TEST_F(Path, APacketThatWaitedAndIsTooBigIsCounted) {
  widen_to(1300);
  carry(30s);
  m_world.a().with_device([this](Device& device, Actions& actions) { device.erase_sessions(m_world.now(), actions); });
  m_world.a().send(1350);
  m_world.run(3s);
  EXPECT_EQ(too_big(m_world.a()), 1U);
}

}  // namespace
}  // namespace quipu::sim
