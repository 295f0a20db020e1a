// SPDX-License-Identifier: Apache-2.0
// Two engines, joined by a network without sockets, with a real KMS over real HTTPS between them.
#pragma once

#include <gtest/gtest.h>

#include "daemon/engine.h"
#include "net/fake_udp_bind.h"
#include "offload/transport.h"
#include "support/recorded_log.h"
#include "support/slow_segments.h"
#include "test_kms.h"
#include "tun/fake_tun.h"

namespace quipu::daemon {

using namespace std::chrono_literals;
using test::RecordedLog;

// An IPv4 header with nothing behind it but the text.
inline Bytes packet(const char* from, const char* to, std::string_view text) {
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

// TCP from one site to the other, as its kernel gives it to the device.
struct TcpRun {
  Bytes bytes;
  offload::PacketHints hints;
};

inline TcpRun from_a_to_b(const test::FlowPacket& run, std::uint16_t segment_size) {
  Bytes bytes = run.bytes(true);
  std::ranges::copy(std::to_array<std::uint8_t>({10, 70, 0, 1, 10, 70, 0, 2}), bytes.begin() + 12);
  offload::finish_headers(MutableBytes(bytes).first(run.header_size()), *offload::find_transport(bytes), bytes.size());
  return {bytes, run.hints(segment_size)};
}

inline TcpRun run_of_tcp(std::size_t size, std::uint16_t segment_size) {
  return from_a_to_b({.payload = Bytes(size, 7)}, segment_size);
}

inline TcpRun syn_with_mss(std::uint16_t mss) {
  const Bytes option = {2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
  return from_a_to_b({.flags = 0x02, .tcp_options = option}, 0);
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
        outside_parts{loop, tun, udp, {}, stamps, rng, log} {}

  std::string letter;
  Endpoint address;
  test::Scratch folder;
  crypto::SystemRng rng;
  tun::FakeTun tun{"fake0", {.checksum = true, .tcp4 = true, .tcp6 = true, .udp = true}};
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
    out.config.device.mtu = 1400;
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
          for (tun::FakeTun::Written& written : at.tun.take_written())
            m_arrived.push_back(std::move(written.bytes));
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

}  // namespace quipu::daemon
