// SPDX-License-Identifier: Apache-2.0
// Packets, keys and rekeys of an engine, and what it shows of them.
#include "daemon/engine.h"

#include "daemon/event_names.h"
#include "daemon/reasons.h"
#include "two_engines.h"

namespace quipu::daemon {
namespace {

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

TEST_F(EngineTest, AConnectionIsToldSegmentsThatFitTheTunnel) {
  send(m_a, "first");
  expect_arrival(m_b, "first");
  const TcpRun syn = syn_with_mss(1460);
  m_a.tun.inject(syn.bytes, syn.hints);
  std::vector<tun::FakeTun::Written> arrived;
  run_until(m_loop, [&] { return !(arrived = m_b.tun.take_written()).empty(); }, "the SYN");
  EXPECT_EQ(arrived[0].bytes, syn_with_mss(1360).bytes);
}

TEST_F(EngineTest, ARunOfSegmentsGoesAsDatagramsAndArrivesAsARun) {
  send(m_a, "first");
  expect_arrival(m_b, "first");
  std::vector<std::size_t> sizes;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (datagram.payload.size() > 500) sizes.push_back(datagram.payload.size());
    return true;
  };
  const TcpRun run = run_of_tcp(2500, 1000);
  m_a.tun.inject(run.bytes, run.hints);
  std::vector<tun::FakeTun::Written> arrived;
  run_until(m_loop, [&] { return !(arrived = m_b.tun.take_written()).empty(); }, "the run");
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1074, 1074, 574}));
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].bytes, run.bytes);
  EXPECT_EQ(arrived[0].hints, run.hints);
  EXPECT_EQ(tunnel(m_b).traffic.rx_packets, 4U);
}

TEST_F(EngineTest, WhatIsNoGoodInATrainCostsOnlyItself) {
  send(m_a, "first");
  expect_arrival(m_b, "first");
  m_b.udp.gather();
  std::size_t datagrams = 0;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (datagram.from != m_a.address || datagram.payload.size() < 500 || ++datagrams != 2) return true;
    net::FakeUdpNetwork::Packet forged = datagram;
    forged.payload.back() ^= 1;
    return !m_network.deliver(forged);
  };
  const TcpRun run = run_of_tcp(4500, 1000);
  m_a.tun.inject(run.bytes, run.hints);
  std::size_t octets = 0;
  run_until(
      m_loop,
      [&] {
        for (const tun::FakeTun::Written& packet : m_b.tun.take_written())
          octets += packet.bytes.size() - 40;
        return octets == 3500;
      },
      "all the others");
  EXPECT_EQ(tunnel(m_b).drops.at("failed_open"), 1U);
  m_network.deliver({m_a.address, m_b.address, {}, 0});
  run_until(m_loop, [&] { return m_b.engine->status().drops.at("malformed") == 1; }, "an empty datagram");
}

TEST_F(EngineTest, TellsWhatTheKernelLacks) {
  EXPECT_EQ(m_a.engine->status().offload_missing, std::vector<std::string>{"udp_gro"});
}

// RFC 6040: what a router on the way says of congestion comes to whoever it is for.
TEST_F(EngineTest, CongestionMarksGoThroughTheTunnel) {
  send(m_a, "first");
  expect_arrival(m_b, "first");
  std::uint8_t inner = 0xb8 | 2;
  std::vector<std::uint8_t> outer;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (datagram.from != m_a.address || datagram.payload.size() < 80) return true;
    outer.push_back(datagram.traffic_class);
    net::FakeUdpNetwork::Packet marked = datagram;
    marked.traffic_class |= 3;
    return !m_network.deliver(marked);
  };
  const auto marked = [&] {
    Bytes out = packet("10.70.0.1", "10.70.0.2", std::string(30, 'x'));
    out[1] = inner;
    return out;
  };
  m_a.tun.inject(marked());
  std::vector<tun::FakeTun::Written> arrived;
  run_until(m_loop, [&] { return !(arrived = m_b.tun.take_written()).empty(); }, "the marked packet");
  EXPECT_EQ(arrived[0].bytes[1], 0xb8 | 3);
  EXPECT_EQ(outer, std::vector<std::uint8_t>{2}) << "its class is not for everybody to see";
  inner = 0xb8;
  m_a.tun.inject(marked());
  run_until(m_loop, [&] { return tunnel(m_b).drops.at("congestion") == 1; }, "the drop");
  EXPECT_TRUE(m_b.tun.take_written().empty());
}

TEST_F(EngineTest, ARunOfSegmentsWaitsForASession) {
  const TcpRun run = run_of_tcp(2500, 1000);
  m_a.tun.inject(run.bytes, run.hints);
  std::size_t octets = 0;
  run_until(
      m_loop,
      [&] {
        for (const tun::FakeTun::Written& packet : m_b.tun.take_written()) {
          EXPECT_TRUE(packet.hints.checksum_wanted);
          octets += packet.bytes.size() - 40;
        }
        return octets == 2500;
      },
      "its segments");
}

// Hints that do not fit, and what is no IP packet.
TEST_F(EngineTest, WhatTheDeviceGivesOutAndIsNoPacketIsCounted) {
  send(m_a, "first");
  expect_arrival(m_b, "first");
  const TcpRun run = run_of_tcp(100, 1000);
  m_a.tun.inject(run.bytes, {.segmentation = run.hints.segmentation});
  m_a.tun.inject(as_bytes("no packet"));
  send(m_a, "second");
  expect_arrival(m_b, "second");
  EXPECT_EQ(m_a.engine->status().errors.at("tun_packet"), 2U);
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
  const auto failed = [&](const char* where) { return m_a.engine->status().errors.at(where); };
  send(m_a, "before");
  expect_arrival(m_b, "before");
  m_a.udp.refuse(1);
  send(m_a, "refused");
  run_until(m_loop, [&] { return failed("udp_refused") == 1; }, "the count");
  m_network.deliver({m_b.address, m_a.address, Bytes(70'000)});
  run_until(m_loop, [&] { return failed("udp_too_long") == 1; }, "the count");
}

// A network card that is slower than what comes in: nothing is lost here, and what keeps the tunnel alive goes first.
TEST_F(EngineTest, WhatFindsTheSocketFullWaitsAndHandshakesGoFirst) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  Site& site = initiator();
  const std::uint64_t before = tunnel(site).handshakes.initiated;
  site.udp.limit_sends(0);
  for (int i = 0; i < 200; ++i)
    send(site, "waits " + std::to_string(i));
  std::vector<bool> is_data;
  m_network.on_send = [&](const net::FakeUdpNetwork::Packet& datagram) {
    if (datagram.from == site.address) is_data.push_back(protocol::Device::is_data(datagram.payload));
    return true;
  };
  std::optional<Result<control::RekeyResult>> rekeyed;
  ASSERT_TRUE(site.engine->rekey(std::nullopt, [&](auto outcome) { rekeyed = std::move(outcome); }));
  run_until(m_loop, [&] { return tunnel(site).handshakes.initiated > before; }, "the attempt");
  EXPECT_TRUE(is_data.empty());
  site.udp.limit_sends(std::nullopt);
  std::set<Bytes> arrived;
  run_until(
      m_loop,
      [&] {
        for (tun::FakeTun::Written& written : other(site).tun.take_written())
          arrived.insert(std::move(written.bytes));
        return arrived.size() == 200 && rekeyed.has_value();
      },
      "all of it");
  EXPECT_TRUE(rekeyed->has_value());
  EXPECT_FALSE(is_data.front()) << "the handshake";
  EXPECT_EQ(site.engine->status().queue_drops.at("udp_send"), 0U);
}

TEST_F(EngineTest, RunsThatFindTheSocketFullWaitAsAWhole) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  m_a.udp.limit_sends(0);
  constexpr std::size_t kRuns = 30;
  constexpr std::size_t kOctets = 60'000;
  const TcpRun run = run_of_tcp(kOctets, 1000);
  for (std::size_t i = 0; i < kRuns; ++i)
    m_a.tun.inject(run.bytes, run.hints);
  std::size_t arrived = 0;
  const auto take = [&] {
    for (const tun::FakeTun::Written& written : m_b.tun.take_written())
      arrived += written.bytes.size() - 40;
  };
  net::Timer room(m_loop, [&] {
    EXPECT_EQ((take(), arrived), 0U);
    m_a.udp.limit_sends(std::nullopt);
  });
  room.set(net::Loop::now() + 50ms);
  run_until(m_loop, [&] { return take(), arrived == kRuns * kOctets; }, "all of it");
  EXPECT_EQ(m_a.engine->status().queue_drops.at("udp_send"), 0U);
}

TEST_F(EngineTest, PacketsThatTheInterfaceRefusesAreShown) {
  send(m_a, "before");
  expect_arrival(m_b, "before");
  m_b.tun.refuse(1);
  send(m_a, "refused");
  run_until(m_loop, [&] { return m_b.engine->status().errors.at("tun_write") == 1; }, "the count");
  EXPECT_EQ(m_b.engine->status().errors.at("tun_read"), 0U);
  send(m_a, "taken");
  expect_arrival(m_b, "taken");
}

TEST_F(EngineTest, AJumpOfStampsIsPermittedByName) {
  EXPECT_TRUE(m_a.engine->permit_stamp_jump("site-b").has_value());
  EXPECT_EQ(m_a.engine->permit_stamp_jump("nobody").error().code, Errc::not_found);
}

}  // namespace
}  // namespace quipu::daemon
