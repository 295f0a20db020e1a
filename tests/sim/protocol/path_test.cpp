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
      link.lose = [width](ByteView datagram) {
        return Device::is_data(datagram) && datagram.size() > width + kMaxOverhead;
      };
  }

  void carry(Duration duration) {
    m_world.traffic(100ms, duration);
    m_world.run(duration);
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
  carry(5s);
  expect_width(kWanted);
  EXPECT_EQ(too_big(m_world.a()) + too_big(m_world.b()), 0U);
}

TEST_F(Path, ANarrowOneIsFoundAndFilled) {
  widen_to(1300);
  carry(15s);
  expect_width(1300);
  const std::uint64_t number = m_world.a().send(1301);
  m_world.run(100ms);
  EXPECT_FALSE(m_world.b().received.contains(number));
  EXPECT_EQ(too_big(m_world.a()), 1U) << "not sent, and counted";
}

TEST_F(Path, OneThatNarrowsAndWidensIsFollowed) {
  carry(5s);
  widen_to(1250);
  carry(45s);
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
  carry(15s);
  EXPECT_LT(m_world.a().status().path_mtu, 1300U);
  EXPECT_EQ(m_world.b().status().path_mtu, kWanted);
}

TEST_F(Path, AnOutageDoesNotNarrowIt) {
  carry(20s);
  for (Link& link : m_world.links)
    link.cut = true;
  carry(20s);
  for (Link& link : m_world.links)
    link.cut = false;
  EXPECT_TRUE(m_world.heals(15s));
  carry(5s);
  expect_width(kWanted);
}

TEST_F(Path, ALossyOneKeepsItsWidth) {
  for (Link& link : m_world.links)
    link.loss = 0.2;
  carry(120s);
  for (Link& link : m_world.links)
    link.loss = 0;
  EXPECT_GT(m_world.a().status().path_mtu + kPathMtuStep, kWanted);
  EXPECT_GT(m_world.b().status().path_mtu + kPathMtuStep, kWanted);
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

TEST_F(Path, AnotherEndpointIsProbedAtOnce) {
  carry(5s);
  widen_to(1300);
  m_world.b().endpoint = *Endpoint::parse("203.0.113.9:4000");
  carry(15s);
  EXPECT_EQ(m_world.a().status().endpoint, m_world.b().endpoint);
  EXPECT_LE(m_world.a().status().path_mtu, 1300U);
}

TEST_F(Path, APacketThatWaitedAndIsTooBigIsCounted) {
  widen_to(1300);
  carry(15s);
  m_world.a().with_device([this](Device& device, Actions& actions) { device.erase_sessions(m_world.now(), actions); });
  m_world.a().send(1350);
  m_world.run(3s);
  EXPECT_EQ(too_big(m_world.a()), 1U);
}

}  // namespace
}  // namespace quipu::sim
