// SPDX-License-Identifier: Apache-2.0
// A peer that has the keys, but says of its packets what is not so.
#include <gtest/gtest.h>

#include "two_engines.h"

namespace quipu::daemon {
namespace {

// In the place of site a there is a Device alone, so that nothing looks at what it seals.
class LyingPeerTest : public EngineTest {
 protected:
  LyingPeerTest() {
    m_a.engine.reset();
    Settings plain = settings(m_b);
    plain.peers[0].config.qkd = plain.config.peers[0].qkd = config::QkdPolicy::off;
    plain.peers[0].config.sources = plain.config.peers[0].sources = {};
    EXPECT_TRUE(m_b.engine->reconfigure(std::move(plain)).has_value());
    protocol::PeerConfig peer;
    peer.id = protocol::PeerId(1);
    peer.public_key = m_b.public_key;
    peer.psk = m_psk.clone();
    peer.endpoint = m_b.address;
    peer.allowed_ips = {*IpPrefix::parse("10.70.0.2/32")};
    peer.policy.qkd = protocol::QkdUse::off;
    EXPECT_TRUE(m_liar.add_peer(std::move(peer), net::Loop::now()).has_value());
  }

  // A packet to site b, which waits in the Device until there is a session.
  void seal(ByteView packet, bool checksum_partial) {
    const auto route = m_liar.route(packet, net::Loop::now());
    ASSERT_TRUE(route.has_value());
    Bytes out(packet.size() + protocol::kMaxOverhead);
    const auto sealed = m_liar.seal(*route, {packet, checksum_partial}, out, net::Loop::now());
    if (!sealed) return;
    out.resize(sealed->size);
    m_network.deliver({m_a.address, m_b.address, out, 0});
  }

  void carry_out(const protocol::Action& action, protocol::Actions& more) {
    if (const auto* send = std::get_if<protocol::SendDatagram>(&action))
      m_network.deliver({m_a.address, send->to, send->bytes, 0});
    else if (const auto* reserve = std::get_if<protocol::ReserveStamps>(&action))
      m_liar.stamps_reserved(reserve->end, net::Loop::now(), more);
  }

  // One turn of the liar's loop.
  void turn() {
    Bytes buffer(2000);
    net::InDatagram in;
    in.buffer = buffer;
    protocol::Actions actions;
    while (m_a.udp.receive({&in, 1}) == 1)
      m_liar.receive(in.buffer.first(in.size), in.from, net::Loop::now(), actions);
    m_liar.advance(net::Loop::now(), actions);
    while (!actions.empty()) {
      const protocol::Actions now = std::exchange(actions, {});
      for (const protocol::Action& action : now)
        carry_out(action, actions);
    }
  }

  tun::FakeTun::Written first_arrival() {
    std::vector<tun::FakeTun::Written> arrived;
    run_until(
        m_loop,
        [&] {
          turn();
          return !(arrived = m_b.tun.take_written()).empty();
        },
        "a packet");
    EXPECT_EQ(arrived.size(), 1U);
    return arrived.at(0);
  }

  protocol::Device m_liar =
      *protocol::Device::create({.private_key = m_a.private_key.clone(), .stamps_end = protocol::Stamp(0)}, m_a.rng);
};

TEST_F(LyingPeerTest, AChecksumIsPartialOnlyWhereThereIsOne) {
  const Bytes good = run_of_tcp(10, 0).bytes;
  const Bytes honest = packet("10.70.0.1", "10.70.0.2", "honest");
  using Change = void (*)(Bytes&);
  std::uint64_t lies = 0;
  for (const Change change : std::initializer_list<Change>{
           [](Bytes& packet) { packet[9] = 1; },      // ICMP
           [](Bytes& packet) { packet[9] = 253; },    // RFC 3692: for experiments
           [](Bytes& packet) { packet[6] = 0x20; },   // a fragment, the first
           [](Bytes& packet) { packet[7] = 1; },      // a later one
           [](Bytes& packet) { packet[32] = 0xf0; },  // its TCP header would have 60 octets
           [](Bytes& packet) {                        // too short for any
             packet.resize(30);
             packet[3] = 30;
           },
       }) {
    Bytes lie = good;
    change(lie);
    seal(lie, true);
    seal(honest, false);
    const tun::FakeTun::Written arrived = first_arrival();
    EXPECT_EQ(arrived.bytes, honest) << "nothing else";
    EXPECT_FALSE(arrived.hints.checksum_wanted);
    EXPECT_EQ(tunnel(m_b).drops.at("malformed"), ++lies);
  }
  EXPECT_FALSE(m_b.failure.has_value());
}

// What the kernel makes of the field spoils this packet at most.
TEST_F(LyingPeerTest, AWholeChecksumThatIsCalledPartialIsHandedOn) {
  const Bytes whole = test::with_whole_checksum(run_of_tcp(100, 0).bytes);
  seal(whole, true);
  const tun::FakeTun::Written arrived = first_arrival();
  EXPECT_EQ(arrived.bytes, whole);
  EXPECT_EQ(
      arrived.hints,
      (tun::PacketHints{.checksum_wanted = true, .checksum_start = 20, .checksum_offset = 16, .header_size = 40}));
  EXPECT_EQ(tunnel(m_b).traffic.rx_packets, 1U);
  EXPECT_EQ(tunnel(m_b).drops.at("malformed"), 0U);
}

}  // namespace
}  // namespace quipu::daemon
