// SPDX-License-Identifier: Apache-2.0
// A new configuration for an engine that runs.
#include "two_engines.h"

namespace quipu::daemon {
namespace {

class EngineReloadTest : public EngineTest {};

TEST_F(EngineReloadTest, AnUnchangedPeerKeepsItsSessionOverAReload) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  const auto result = m_a.engine->reconfigure(settings(m_a));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ(*result, control::ReloadResult());
  EXPECT_EQ(tunnel(m_a).state, control::TunnelState::up);
  send(m_a, "after");
  expect_arrival(m_b, "after");
  EXPECT_EQ(tunnel(m_a).epoch, 1U);
}

TEST_F(EngineReloadTest, AReloadAddsAndRemovesPeers) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  Settings more = settings(m_a);
  add_third_peer(more);
  const auto added = m_a.engine->reconfigure(std::move(more));
  ASSERT_TRUE(added.has_value()) << added.error().text;
  EXPECT_EQ(added->added, std::vector<std::string>{"third"});
  EXPECT_EQ(m_a.engine->status().tunnels.size(), 2U);
  const auto removed = m_a.engine->reconfigure(settings(m_a));
  ASSERT_TRUE(removed.has_value()) << removed.error().text;
  EXPECT_EQ(removed->removed, std::vector<std::string>{"third"});
  EXPECT_EQ(tunnel(m_a).state, control::TunnelState::up);
}

// Where its peer is has become neither protected nor a local network: in between it would have been protected.
TEST_F(EngineReloadTest, AReloadLeavesOnlyAnAddressThatIsProtectedAtItsEnd) {
  const auto with = [this](bool protects, bool local) {
    Settings out = settings(m_b);
    PeerSettings& peer = out.peers[0];
    peer.config.endpoint.reset();
    if (protects) peer.config.allowed_ips.push_back(*IpPrefix::parse("192.0.0.0/16"));
    out.config.peers[0] = peer.config;
    if (local) out.plan.local_networks = {*IpPrefix::parse("192.0.2.0/24")};
    return out;
  };
  ASSERT_TRUE(m_b.engine->reconfigure(with(true, true)).has_value());
  send(m_a, "from where it is");
  expect_arrival(m_b, "from where it is");
  ASSERT_EQ(tunnel(m_b).endpoint, "192.0.2.1:51900");
  ASSERT_TRUE(m_b.engine->reconfigure(with(false, false)).has_value());
  EXPECT_EQ(tunnel(m_b).endpoint, "192.0.2.1:51900");
  ASSERT_TRUE(m_b.engine->reconfigure(with(true, false)).has_value());
  EXPECT_EQ(tunnel(m_b).endpoint, "");
}

TEST_F(EngineReloadTest, TwoPeersMayChangePlaces) {
  Settings both = settings(m_a);
  add_third_peer(both);
  Settings swapped;
  swapped.config = both.config;
  swapped.kms = both.kms;
  swapped.private_key = both.private_key.clone();
  for (const PeerSettings& peer : both.peers)
    swapped.peers.push_back({peer.config, peer.psk.clone()});
  std::swap(swapped.peers[0].config.allowed_ips, swapped.peers[1].config.allowed_ips);
  ASSERT_TRUE(m_a.engine->reconfigure(std::move(both)).has_value());
  const auto result = m_a.engine->reconfigure(std::move(swapped));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ(result->changed.size(), 2U);
  EXPECT_EQ(m_a.engine->status().tunnels.size(), 2U);
}

TEST_F(EngineReloadTest, ARefusedReloadChangesNothing) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  const auto expect_refused = [&](Settings next, Errc code) {
    const auto refused = m_a.engine->reconfigure(std::move(next));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, code) << refused.error().text;
    EXPECT_NE(refused.error().text.find("peer '"), std::string::npos) << refused.error().text;
    send(m_a, "after");
    expect_arrival(m_b, "after");
    EXPECT_EQ(tunnel(m_a).epoch, 1U);
    EXPECT_EQ(m_a.engine->status().tunnels.size(), 1U);
  };
  for (const std::chrono::seconds age : {std::chrono::seconds(60), std::chrono::seconds(86400)}) {
    Settings next = settings(m_a);
    next.peers[0].config.max_key_age = age;
    expect_refused(std::move(next), Errc::out_of_range);
  }
  Settings same_key = settings(m_a);
  add_third_peer(same_key);
  same_key.peers[1].config.public_key = same_key.peers[0].config.public_key;
  expect_refused(std::move(same_key), Errc::duplicate);
  Settings same_prefix = settings(m_a);
  add_third_peer(same_prefix);
  same_prefix.peers[1].config.allowed_ips = same_prefix.peers[0].config.allowed_ips;
  expect_refused(std::move(same_prefix), Errc::duplicate);
  Settings own_key = settings(m_a);
  own_key.peers[0].config.public_key = m_a.public_key.value();
  expect_refused(std::move(own_key), Errc::refused);
}

// Not of one that has none, and not where the change leaves it in place.
TEST_F(EngineReloadTest, SaysOfAPeerThatItsSessionHasEnded) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  Settings next = settings(m_a);
  next.peers[0].config.persistent_keepalive = std::chrono::seconds(25);
  EXPECT_EQ(m_a.engine->reconfigure(std::move(next))->changed, std::vector<std::string>{"site-b"});
  next = settings(m_a);
  m_a.rng.fill(next.peers[0].psk.mutable_view());
  EXPECT_EQ(m_a.engine->reconfigure(std::move(next))->changed, std::vector<std::string>{"site-b (session ended)"});
}

TEST_F(EngineReloadTest, ANewPreSharedKeyInTheSameFileChangesThePeer) {
  Settings next = settings(m_a);
  m_a.rng.fill(next.peers[0].psk.mutable_view());
  const auto result = m_a.engine->reconfigure(std::move(next));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ(result->changed, std::vector<std::string>{"site-b"});
}

TEST_F(EngineReloadTest, AReplacedPublicKeyIsAChangeOfThePeer) {
  Settings next = settings(m_a);
  next.peers[0].config.public_key = crypto::x25519_public_key(crypto::generate_x25519(m_a.rng)).value();
  const auto result = m_a.engine->reconfigure(std::move(next));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ(*result, (control::ReloadResult{.changed = {"site-b (public_key)"}}));
}

}  // namespace
}  // namespace quipu::daemon
