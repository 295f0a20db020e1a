// SPDX-License-Identifier: Apache-2.0
// Where the datagrams go: a peer is followed to a new address, but never into the tunnel.
#include <gtest/gtest.h>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

const Endpoint kOutside = *Endpoint::parse("203.0.113.9:4000");
const Endpoint kElsewhere = *Endpoint::parse("198.51.100.9:4000");
const Endpoint kInside = *Endpoint::parse("10.0.0.77:4000");  // of what b protects towards a

class EndpointTest : public testing::Test {
 protected:
  EndpointTest() {
    EXPECT_TRUE(m_world.healthy());
    m_before = *m_world.b().status().endpoint;
  }

  // A genuine packet of a that is lost on its way; somebody has a copy of it.
  Bytes intercepted() {
    Bytes copy;
    m_world.links[0].lose = [&](ByteView datagram) {
      if (message_type(datagram) != MessageType::data) return false;
      if (copy.empty()) copy.assign(datagram.begin(), datagram.end());
      return true;
    };
    m_world.a().send();
    m_world.run(50ms);
    m_world.links[0].lose = nullptr;
    EXPECT_FALSE(copy.empty());
    return copy;
  }

  // From now on b knows a only from where a's packets come.
  void let_b_forget_the_endpoint() {
    m_world.b().restart(false);
    m_world.traffic(200ms, 8s);
    m_world.run(8s);
    EXPECT_TRUE(m_world.healthy());
  }

  // b gets another peer, to which the prefix of kOutside belongs.
  void protect_the_outside() {
    PeerConfig other;
    other.id = PeerId(7);
    other.name = "other";
    other.public_key = crypto::x25519_public_key(crypto::generate_x25519(m_world.rng));
    other.allowed_ips = {*IpPrefix::parse("203.0.113.0/24")};
    other.policy.qkd = QkdUse::off;
    ASSERT_TRUE(m_world.b().device().add_peer(std::move(other), m_world.now()));
    m_world.b().device().leave_protected_endpoints();
  }

  Started m_world{{}};
  Endpoint m_before;
};

TEST_F(EndpointTest, TheNewestPacketFromAProtectedAddressMovesNothing) {
  const std::size_t received = m_world.b().received.size();
  m_world.inject(0, intercepted(), kInside);
  EXPECT_EQ(m_world.b().received.size(), received + 1) << "the packet itself is genuine";
  EXPECT_EQ(m_world.b().status().endpoint, m_before);
  m_world.inject(0, intercepted(), kOutside);
  EXPECT_EQ(m_world.b().status().endpoint, kOutside);
}

TEST_F(EndpointTest, AnAddressOfALocalNetworkIsFollowedAndLeftWhenItIsNoLongerOne) {
  const std::vector<IpPrefix> network = {*IpPrefix::parse("10.0.0.64/28")};
  m_world.b().device().set_local_networks(network);
  m_world.inject(0, intercepted(), kInside);
  EXPECT_EQ(m_world.b().status().endpoint, kInside);
  m_world.b().device().set_local_networks({});
  m_world.b().device().leave_protected_endpoints();
  EXPECT_EQ(m_world.b().status().endpoint, m_before);
}

TEST_F(EndpointTest, AnAddressThatBecomesProtectedIsLeft) {
  m_world.inject(0, intercepted(), kOutside);
  ASSERT_EQ(m_world.b().status().endpoint, kOutside);
  protect_the_outside();
  EXPECT_EQ(m_world.b().device().status(m_world.now()).front().endpoint, m_before);
}

// An attempt that is under way has nowhere to go then, until the peer's name leads somewhere.
TEST_F(EndpointTest, AnAddressThatBecomesProtectedIsLeftInTheMiddleOfAnAttempt) {
  m_world.b().adjust = [](PeerConfig& peer) { peer.endpoint_name = "site-a.example:51900"; };
  let_b_forget_the_endpoint();
  m_world.inject(0, intercepted(), kOutside);
  ASSERT_EQ(m_world.b().status().endpoint, kOutside);
  m_world.links[0].cut = true;
  m_world.b().send();
  const auto before = m_world.handshakes[1].size();
  ASSERT_TRUE(m_world.run_until([&] { return m_world.handshakes[1].size() > before; }, 10s));
  protect_the_outside();
  const auto sent = m_world.handshakes[1].size();
  const auto asked = m_world.b().names_asked;
  m_world.run(15s);
  EXPECT_EQ(m_world.handshakes[1].size(), sent);
  EXPECT_GT(m_world.b().names_asked, asked);
  m_world.b().name_answers = m_before;
  EXPECT_TRUE(m_world.run_until([&] { return m_world.handshakes[1].size() > sent; }, 15s));
  EXPECT_EQ(m_world.b().status().endpoint, m_before);
}

TEST_F(EndpointTest, ANameIsBelievedWhenNoAddressIsLeftThoughASessionIsUp) {
  m_world.b().adjust = [](PeerConfig& peer) { peer.endpoint_name = "site-a.example:51900"; };
  let_b_forget_the_endpoint();
  m_world.inject(0, intercepted(), kOutside);
  protect_the_outside();
  ASSERT_EQ(m_world.b().device().status(m_world.now()).front().endpoint, std::nullopt);
  ASSERT_TRUE(m_world.b().status().session_up);
  m_world.b().name_answers = kElsewhere;
  m_world.b().send();
  EXPECT_TRUE(m_world.run_until([&] { return m_world.b().status().endpoint == kElsewhere; }, 10s));
}

}  // namespace
}  // namespace quipu::sim
