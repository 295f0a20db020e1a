// SPDX-License-Identifier: Apache-2.0
// Two engines, joined by a network without sockets, with a real KMS over real HTTPS between them.
#include "daemon/engine.h"

#include <gtest/gtest.h>

#include "daemon/event_names.h"
#include "daemon/reasons.h"
#include "net/fake_udp_bind.h"
#include "support/recorded_log.h"
#include "test_kms.h"
#include "tun/fake_tun.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;
using test::RecordedLog;

// An IPv4 header with nothing behind it but the text.
Bytes packet(const char* from, const char* to, std::string_view text) {
  Bytes out(20 + text.size());
  out[0] = 0x45;
  out[3] = static_cast<std::uint8_t>(out.size());
  out[8] = 64;
  out[9] = 253;  // RFC 3692: for experiments
  const auto source = IpAddress::parse(from);
  const auto destination = IpAddress::parse(to);
  std::ranges::copy(source->view(), out.begin() + 12);
  std::ranges::copy(destination->view(), out.begin() + 16);
  std::ranges::copy(as_bytes(text), out.begin() + 20);
  return out;
}

struct Site {
  Site(net::Loop& loop, net::FakeUdpNetwork& network, TestKms& kms, std::string its_letter, const char* outside)
      : letter(std::move(its_letter)),
        address(*Endpoint::parse(outside)),
        udp(network, address),
        stamps(*store::StampFile::open(folder.root())),
        private_key(crypto::generate_x25519(rng)),
        public_key(crypto::x25519_public_key(private_key)),
        kms_settings(kms.settings_for("sae-" + letter)),
        outside_parts{loop, tun, udp, stamps, rng, log} {}

  std::string letter;
  Endpoint address;
  test::Scratch folder;
  crypto::SystemRng rng;
  tun::FakeTun tun;
  net::FakeUdpBind udp;
  store::StampFile stamps;
  RecordedLog log;
  crypto::X25519PrivateKey private_key;
  crypto::X25519PublicKey public_key;
  KmsSettings kms_settings;
  Engine::Outside outside_parts;
  std::optional<Error> failure;
  std::unique_ptr<Engine> engine;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    m_psk = Secret<32>();
    m_a.rng.fill(m_psk.mutable_view());
    start(m_a);
    start(m_b);
  }

  // Again, when it ran before.
  void start(Site& site) {
    site.engine.reset();
    auto engine =
        Engine::create(site.outside_parts, settings(site), [&site](const Error& error) { site.failure = error; });
    ASSERT_TRUE(engine.has_value()) << engine.error().text;
    site.engine = std::move(*engine);
    site.engine->start();
  }

  Site& other(const Site& site) { return &site == &m_a ? m_b : m_a; }

  // The one with the lower static key starts handshakes.
  Site& initiator() { return m_a.public_key < m_b.public_key ? m_a : m_b; }

  Settings settings(const Site& site) {
    const Site& far = other(site);
    Settings out;
    out.private_key = site.private_key.clone();
    out.kms.push_back(site.kms_settings);
    out.config.kms.push_back(site.kms_settings.config);
    PeerSettings peer{.config = {}, .psk = m_psk.clone()};
    peer.config.name = "site-" + far.letter;
    peer.config.public_key = far.public_key.value();
    peer.config.endpoint = config::HostPort{far.address.address.text(), far.address.port, far.address};
    peer.config.allowed_ips = {*IpPrefix::parse(inside(far) + "/32")};
    peer.config.rekey_interval = 60s;
    peer.config.sources = {{.kms = "local", .peer_sae_id = SaeId("sae-" + far.letter)}};
    peer.config.min_sources = 1;
    out.config.peers.push_back(peer.config);
    out.peers.push_back(std::move(peer));
    return out;
  }

  // A further peer, whose endpoint is not known.
  void add_third_peer(Settings& to) {
    PeerSettings third{.config = to.peers[0].config, .psk = m_psk.clone()};
    third.config.name = "third";
    third.config.public_key = crypto::x25519_public_key(crypto::generate_x25519(m_a.rng)).value();
    third.config.allowed_ips = {*IpPrefix::parse("10.3.0.0/16")};
    third.config.endpoint.reset();
    to.config.peers.push_back(third.config);
    to.peers.push_back(std::move(third));
  }

  static std::string inside(const Site& site) { return site.letter == "a" ? "10.70.0.1" : "10.70.0.2"; }

  void send(Site& from, std::string_view text) {
    from.tun.inject(packet(inside(from).c_str(), inside(other(from)).c_str(), text));
  }

  void expect_arrival(Site& at, std::string_view text) {
    const Bytes expected = packet(inside(other(at)).c_str(), inside(at).c_str(), text);
    run_until(
        m_loop,
        [&] {
          std::ranges::move(at.tun.take_written(), std::back_inserter(m_arrived));
          return std::ranges::find(m_arrived, expected) != m_arrived.end();
        },
        text);
    m_arrived.clear();
  }

  static control::TunnelStatus tunnel(const Site& site) { return site.engine->status().tunnels.at(0); }

  Result<control::RekeyResult> rekey(Site& site) {
    std::optional<Result<control::RekeyResult>> result;
    const auto started =
        site.engine->rekey(std::nullopt, [&](Result<control::RekeyResult> outcome) { result = std::move(outcome); });
    if (!started) return std::unexpected(started.error());
    EXPECT_FALSE(result.has_value()) << "the answer comes from the loop";
    run_until(m_loop, [&] { return result.has_value(); }, "the rekey");
    return *result;
  }

  net::Loop m_loop;
  net::FakeUdpNetwork m_network;
  TestKms m_kms{m_loop};
  Secret<32> m_psk;
  std::vector<Bytes> m_arrived;
  Site m_a{m_loop, m_network, m_kms, "a", "192.0.2.1:51900"};
  Site m_b{m_loop, m_network, m_kms, "b", "192.0.2.2:51900"};
};

TEST_F(EngineTest, IsIdleUntilSomebodySends) {
  for (const Site* site : {&m_a, &m_b}) {
    EXPECT_EQ(tunnel(*site).state, control::TunnelState::idle);
    EXPECT_EQ(tunnel(*site).reason, "nothing to send yet");
    EXPECT_FALSE(tunnel(*site).sources.at(0).asked);
  }
  m_network.on_send = [](const net::FakeUdpNetwork::Packet&) { return false; };
  send(m_a, "into the void");
  run_until(m_loop, [&] { return tunnel(m_a).state == control::TunnelState::connecting; }, "an attempt");
  EXPECT_EQ(tunnel(m_b).state, control::TunnelState::idle);
  m_network.on_send = nullptr;
  expect_arrival(m_b, "into the void");
  EXPECT_EQ(tunnel(m_a).state, control::TunnelState::up);
  EXPECT_TRUE(tunnel(m_a).sources.at(0).asked);
}

TEST_F(EngineTest, TellsSimulatedKeysWhoseSourceIsNotMarked) {
  m_kms.simulated = true;
  send(m_a, "hello");
  expect_arrival(m_b, "hello");
  for (const Site* site : {&m_a, &m_b}) {
    EXPECT_TRUE(tunnel(*site).simulated);
    EXPECT_TRUE(tunnel(*site).sources.at(0).simulated);
    EXPECT_EQ(site->log.count(event::kSourceSimulated), 1U);
  }
}

TEST_F(EngineTest, CarriesPacketsBothWaysUnderAQkdKey) {
  send(m_a, "hello");
  expect_arrival(m_b, "hello");
  send(m_b, "hello yourself");
  expect_arrival(m_a, "hello yourself");
  for (const Site* site : {&m_a, &m_b}) {
    const control::TunnelStatus status = tunnel(*site);
    EXPECT_EQ(status.state, control::TunnelState::up);
    EXPECT_EQ(status.qkd, control::QkdState::ok);
    EXPECT_EQ(status.protection_achieved, "x25519+mlkem768+psk+qkd(1)");
    EXPECT_EQ(status.protection_required, status.protection_achieved);
    EXPECT_EQ(status.qkd_keys_used, 1U);
    EXPECT_TRUE(status.sources.at(0).reachable);
    EXPECT_TRUE(status.reason.empty()) << status.reason;
    EXPECT_FALSE(status.simulated);
  }
  EXPECT_GT(m_kms.dec_calls, 0U);
}

TEST_F(EngineTest, ARekeyAnswersWithItsLatency) {
  send(m_a, "first");
  expect_arrival(m_b, "first");
  const auto done = rekey(initiator());
  ASSERT_TRUE(done.has_value()) << done.error().text;
  ASSERT_EQ(done->rekeys.size(), 1U);
  EXPECT_EQ(done->rekeys[0].peer, "site-" + other(initiator()).letter);
  ASSERT_TRUE(done->rekeys[0].latency_ms.has_value());
  EXPECT_GT(*done->rekeys[0].latency_ms, 0.0);
  EXPECT_EQ(tunnel(m_a).epoch, 2U);
  EXPECT_EQ(tunnel(m_a).rekeys, 1U);
}

TEST_F(EngineTest, ARekeyOfNobodyIsRefused) {
  const auto refused = initiator().engine->rekey("nobody", [](Result<control::RekeyResult>) { FAIL(); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::not_found);
  EXPECT_EQ(refused.error().text, "there is no peer 'nobody'; configured: site-" + other(initiator()).letter);
}

TEST_F(EngineTest, OnePeerThatCannotBeRekeyedDoesNotKeepTheOthersFromIt) {
  Site& site = initiator();
  send(m_a, "first");
  expect_arrival(m_b, "first");
  Settings more = settings(site);
  add_third_peer(more);
  ASSERT_TRUE(site.engine->reconfigure(std::move(more)).has_value());
  const auto done = rekey(site);
  ASSERT_TRUE(done.has_value()) << done.error().text;
  ASSERT_EQ(done->rekeys.size(), 1U);
  ASSERT_EQ(done->failed.size(), 1U);
  EXPECT_EQ(done->failed[0].peer, "third");
  EXPECT_NE(done->failed[0].reason.find("endpoint"), std::string::npos) << done->failed[0].reason;
  const auto alone = site.engine->rekey("third", [](Result<control::RekeyResult>) { FAIL(); });
  ASSERT_FALSE(alone.has_value());
  EXPECT_EQ(alone.error().code, Errc::unavailable);
}

TEST_F(EngineTest, NothingLeavesWithoutAKeyAndItFlowsWhenTheKmsIsBack) {
  m_kms.stop();
  std::size_t data_sent = 0;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (protocol::Device::is_data(datagram.payload)) ++data_sent;
    return true;
  };
  send(m_a, "waits");
  run_until(m_loop, [&] { return tunnel(m_a).state == control::TunnelState::blocked; }, "the block");
  EXPECT_EQ(data_sent, 0U);
  EXPECT_NE(tunnel(m_a).reason.find("KMS 'local'"), std::string::npos) << tunnel(m_a).reason;
  m_kms.start();
  // What is sent while the block lasts is dropped.
  run_until(m_loop, [&] { return send(m_a, "flows"), !m_b.tun.take_written().empty(); }, "packets flow again");
  EXPECT_EQ(tunnel(m_b).qkd, control::QkdState::ok);
}

TEST_F(EngineTest, AnUnchangedPeerKeepsItsSessionOverAReload) {
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

TEST_F(EngineTest, AReloadAddsAndRemovesPeers) {
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
TEST_F(EngineTest, AReloadLeavesOnlyAnAddressThatIsProtectedAtItsEnd) {
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

TEST_F(EngineTest, TwoPeersMayChangePlaces) {
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

TEST_F(EngineTest, ARefusedReloadChangesNothing) {
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

TEST_F(EngineTest, ANewPreSharedKeyInTheSameFileChangesThePeer) {
  Settings next = settings(m_a);
  m_a.rng.fill(next.peers[0].psk.mutable_view());
  const auto result = m_a.engine->reconfigure(std::move(next));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ(result->changed, std::vector<std::string>{"site-b"});
}

TEST_F(EngineTest, AReplacedPublicKeyIsAChangeOfThePeer) {
  Settings next = settings(m_a);
  next.peers[0].config.public_key = crypto::x25519_public_key(crypto::generate_x25519(m_a.rng)).value();
  const auto result = m_a.engine->reconfigure(std::move(next));
  ASSERT_TRUE(result.has_value()) << result.error().text;
  EXPECT_EQ(*result, (control::ReloadResult{.changed = {"site-b (public_key)"}}));
}

TEST_F(EngineTest, TheSettingThatDiffersStandsInTheStatus) {
  Settings next = settings(m_b);
  next.peers[0].config.tunnel_id = 7;
  ASSERT_TRUE(m_b.engine->reconfigure(std::move(next)).has_value());
  for (Site* site : {&m_a, &m_b})
    run_until(
        m_loop,
        [&] {
          if (!tunnel(*site).reason.starts_with(to_string(Reason::configured_differently))) send(initiator(), "hello");
          return tunnel(*site).reason.contains("tunnel_id");
        },
        "the reason");
  EXPECT_EQ(tunnel(m_a).state, control::TunnelState::down);
  EXPECT_NE(tunnel(initiator()).reason.find(" here and another number at the peer"), std::string::npos);
}

TEST_F(EngineTest, ErasedSessionsHealByThemselves) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  initiator().engine->erase_sessions();
  EXPECT_NE(tunnel(initiator()).state, control::TunnelState::up);
  send(initiator(), "after");
  expect_arrival(other(initiator()), "after");
}

TEST_F(EngineTest, StampsAreReservedBeforeTheyAreUsed) {
  std::uint64_t reserved_when_sent = 0;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet&) {
    if (reserved_when_sent == 0) reserved_when_sent = m_a.stamps.end();
    return true;
  };
  send(m_a, "hello");
  expect_arrival(m_b, "hello");
  EXPECT_GT(reserved_when_sent, 0U);
}

TEST_F(EngineTest, HandshakesStartOnceTheStateFolderCanBeWritten) {
  Site& site = initiator();
  const std::string& folder = site.folder.root();
  const std::string aside = folder + ".aside";
  std::filesystem::rename(folder, aside);
  start(site);
  send(site, "waits");
  run_until(m_loop, [&] { return tunnel(site).sources.at(0).reachable; }, "all but a stamp is there");
  EXPECT_EQ(tunnel(site).handshakes.initiated, 0U);
  std::filesystem::rename(aside, folder);
  expect_arrival(other(site), "waits");
  EXPECT_EQ(site.log.count(event::kStampsNotStored), 1U);
  EXPECT_EQ(site.log.count(event::kStampsStored), 1U);
}

TEST_F(EngineTest, GarbageBurnsNoKeyAndStopsNothing) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  net::FakeUdpBind stranger(m_network, *Endpoint::parse("203.0.113.9:4000"));
  for (std::size_t size = 0; size < 1500; size += 7) {
    Bytes garbage(size);
    m_a.rng.fill(garbage);
    for (std::uint8_t type = 1; type <= 4; ++type) {
      if (size > 0) garbage[0] = type;
      for (const Site* site : {&m_a, &m_b}) {
        const net::OutDatagram datagram{.to = site->address, .payload = garbage};
        EXPECT_EQ(stranger.send({&datagram, 1}), 1U);
      }
    }
  }
  send(m_a, "after");
  expect_arrival(m_b, "after");
  // The epoch's own key, and the next one where it was fetched ahead meanwhile.
  EXPECT_LE(m_kms.enc_calls, 2U);
  EXPECT_LE(m_kms.dec_calls, 2U);
  EXPECT_EQ(tunnel(m_b).epoch, 1U);
}

TEST_F(EngineTest, ALostInterfaceIsAFailure) {
  m_a.tun.remove();
  send(m_a, "into the void");
  run_until(m_loop, [&] { return m_a.failure.has_value(); }, "the failure");
  EXPECT_EQ(m_a.failure->code, Errc::closed);
}

TEST_F(EngineTest, AStoppedEngineIsSilent) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  std::size_t sent = 0;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (datagram.from == m_a.address) ++sent;
    return true;
  };
  m_a.engine->stop();
  send(m_a, "not carried");
  send(m_b, "not received");
  EXPECT_NE(tunnel(m_a).state, control::TunnelState::up);
  run_until(m_loop, [&] { return tunnel(m_b).traffic.tx_packets > 0; }, "the other end's packet");
  EXPECT_EQ(sent, 0U);
  EXPECT_TRUE(m_a.tun.take_written().empty());
}

TEST_F(EngineTest, AKeyThatComesAfterTheStopStartsNothing) {
  Site& site = initiator();
  m_kms.hold = true;
  Settings eager = settings(site);
  eager.peers[0].config.always_on = true;
  ASSERT_TRUE(site.engine->reconfigure(std::move(eager)).has_value());
  run_until(m_loop, [&] { return m_kms.held() == 1; }, "the KMS is asked");
  std::size_t sent = 0;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (datagram.from == site.address) ++sent;
    return true;
  };
  site.engine->stop();
  m_kms.release();
  run_until(m_loop, [&] { return tunnel(site).sources.at(0).reachable; }, "the KMS has answered");
  EXPECT_EQ(sent, 0U);
  EXPECT_FALSE(tunnel(site).handshakes.initiated > 0 || tunnel(site).state == control::TunnelState::connecting);
}

TEST_F(EngineTest, DatagramsThatAreLostHereAreCountedByWhatLostThem) {
  const auto lost = [&](const char* where) { return m_a.engine->status().queue_drops.at(where); };
  send(m_a, "before");
  expect_arrival(m_b, "before");
  m_a.udp.refuse(1);
  send(m_a, "refused");
  run_until(m_loop, [&] { return lost("udp_refused") == 1; }, "the count");
  m_network.deliver({m_b.address, m_a.address, Bytes(70'000)});
  run_until(m_loop, [&] { return lost("udp_too_long") == 1; }, "the count");
  m_a.udp.limit_sends(0);
  send(m_a, "no room");
  run_until(m_loop, [&] { return lost("udp_send") > 0; }, "the count");
}

TEST_F(EngineTest, PacketsThatTheInterfaceRefusesAreShown) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  m_b.tun.refuse(1);
  send(m_a, "refused");
  run_until(m_loop, [&] { return m_b.engine->status().queue_drops.at("tun_write") == 1; }, "the count");
  EXPECT_EQ(m_b.engine->status().queue_drops.at("tun_read"), 0U);
  send(m_a, "taken");
  expect_arrival(m_b, "taken");
}

TEST_F(EngineTest, AJumpOfStampsIsPermittedByName) {
  EXPECT_TRUE(m_a.engine->permit_stamp_jump("site-b").has_value());
  EXPECT_EQ(m_a.engine->permit_stamp_jump("nobody").error().code, Errc::not_found);
}

}  // namespace
}  // namespace quipu::daemon
