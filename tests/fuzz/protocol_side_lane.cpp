// SPDX-License-Identifier: Apache-2.0
// A lane between two ends, where the fuzzer is the network, the Device that tells them things, and a peer that seals
// whatever it likes. What opens came from the other end, once, and from an address that is that end's.
#include <algorithm>
#include <cstdlib>

#include "protocol/control_frame.h"
#include "protocol/inner_packet.h"
#include "protocol/side_lane.h"
#include "support/handshakes.h"

namespace {

using namespace quipu;
using namespace quipu::protocol;
using namespace std::chrono_literals;

constexpr PeerId kPeer{1};
const Lane kNumber{1};

void must(bool condition) {
  if (!condition) std::abort();
}

IpPrefix network(std::size_t site) {
  return {IpAddress::from_octets(std::to_array<std::uint8_t>({10, static_cast<std::uint8_t>(site), 0, 0})), 16};
}

class End {
 public:
  End(std::size_t site, SessionSecrets secrets) : m_site(site) {
    secrets.lanes = 2;
    m_view.id = kPeer;
    m_view.endpoint = place(0);
    m_view.packet_limit = 1400;
    m_view.keys[0] = m_keys = {std::make_shared<Keypair>(std::move(secrets)), TimePoint(2000s)};
    m_view.tallies = std::make_shared<LaneTallies>(1U);
    AllowedIps routes;
    must(routes.insert(network(1 - site), kPeer).has_value());
    m_lane.apply(std::make_shared<const AllowedIps>(routes));
    m_lane.apply(m_view);
  }

  // Where the other end may be.
  static Endpoint place(std::uint8_t number) {
    return {IpAddress::from_octets(std::to_array<std::uint8_t>({192, 0, 2, number})), 51900, 0};
  }

  std::optional<Bytes> send(std::size_t size, TimePoint now) {
    Bytes packet(20 + size);
    packet[0] = 0x45;
    packet[2] = static_cast<std::uint8_t>(packet.size() >> 8);
    packet[3] = static_cast<std::uint8_t>(packet.size());
    packet[12] = packet[16] = 10;
    packet[13] = static_cast<std::uint8_t>(m_site);
    packet[17] = static_cast<std::uint8_t>(1 - m_site);
    const auto route = m_lane.route(packet, now);
    if (!route) return std::nullopt;
    Bytes out(packet.size() + kMaxOverhead);
    const auto sealed = m_lane.seal(*route, {packet}, out, now);
    if (!sealed) return std::nullopt;
    out.resize(sealed->size);
    return out;
  }

  // As a peer that means ill.
  Bytes seal_anything(FrameHeader header, ByteView payload) {
    Bytes out(payload.size() + kDataOverhead);
    must(m_keys.keypair->seal(kNumber, header, payload, out) == out.size());
    return out;
  }

  // Whether it opened.
  bool receive(Bytes datagram, std::uint8_t from, TimePoint now) {
    const auto opened = m_lane.open(datagram, place(from), now);
    if (!opened) return false;
    if (opened->packet.empty()) return true;
    const auto inner = inner_addresses(opened->packet);
    must(inner && network(1 - m_site).contains(inner->source));
    ++m_received;
    if (from % 4 == 0) {
      m_lane.discard(*opened, DropReason::malformed);
      --m_received;
    }
    must(m_view.tallies->front().rx_packets == m_received);
    return true;
  }

  void turn(TimePoint now, std::vector<Bytes>& out) {
    SideLane::Events events;
    m_lane.advance(now, events);
    for (SendDatagram& datagram : events.send)
      out.push_back(std::move(datagram.bytes));
    must(!m_lane.next_deadline() || *m_lane.next_deadline() > now);
  }

  void change(std::uint8_t what, std::uint8_t to) {
    switch (what % 6) {
      case 0: m_view.packet_limit = 1198 + to; break;
      case 1: m_view.endpoint = place(to); break;
      case 2: m_view.endpoint.reset(); break;
      case 3: m_view.keys[0] = {}; break;
      case 4: m_view.keys[to % 3] = m_keys; break;
      default: m_lane.apply(PeerGone{kPeer}); return;
    }
    m_lane.apply(m_view);
  }

 private:
  std::size_t m_site;
  PeerView m_view;
  PeerView::Keys m_keys;
  SideLane m_lane{kNumber};
  std::uint64_t m_received = 0;
};

class Pair {
 public:
  void send(std::size_t from, std::size_t size) {
    if (auto datagram = m_ends[from].send(size, m_now)) keep(from, *std::move(datagram));
  }

  void seal_anything(std::size_t from, std::uint8_t kind, bool partial, ByteView payload) {
    keep(from, m_ends[from].seal_anything({static_cast<FrameKind>(1 + kind % 5), partial}, payload));
  }

  void deliver(std::size_t which, std::uint8_t from) {
    if (m_wire.empty()) return;
    Sent& sent = m_wire[which % m_wire.size()];
    must(!m_ends[sent.from].receive(sent.datagram, from, m_now));  // to its own sender
    if (m_ends[1 - sent.from].receive(sent.datagram, from, m_now)) must(!std::exchange(sent.opened, true));
  }

  void forge(std::size_t which, std::size_t at, std::uint8_t change) {
    if (m_wire.empty() || change == 0) return;
    const Sent& sent = m_wire[which % m_wire.size()];
    Bytes datagram = sent.datagram;
    datagram[at % datagram.size()] ^= change;
    must(!m_ends[1 - sent.from].receive(std::move(datagram), 1, m_now));
  }

  void wait(std::uint8_t tenths) {
    m_now += tenths * 100ms;
    for (std::size_t end = 0; end < 2; ++end) {
      std::vector<Bytes> out;
      m_ends[end].turn(m_now, out);
      for (Bytes& datagram : out)
        keep(end, std::move(datagram));
    }
  }

  void change(std::size_t end, std::uint8_t what, std::uint8_t to) { m_ends[end].change(what, to); }

 private:
  struct Sent {
    std::size_t from;
    Bytes datagram;
    bool opened = false;
  };

  static SessionSecrets secrets(bool initiator) {
    static const auto done = test::run(test::Scenario());
    return test::copy_of(initiator ? done->initiator : done->responder);
  }

  void keep(std::size_t from, Bytes datagram) {
    if (m_wire.size() < 64) m_wire.push_back({from, std::move(datagram)});
  }

  TimePoint m_now{1000s};
  std::array<End, 2> m_ends{End(0, secrets(true)), End(1, secrets(false))};
  std::vector<Sent> m_wire;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader script({data, std::min<std::size_t>(size, 400)});
  Pair pair;
  while (script.remaining() != 0) {
    const std::uint8_t action = script.u8();
    const std::size_t end = action >> 7U;
    switch (action % 6) {
      case 0: pair.send(end, std::size_t{script.u8()} * 6); break;
      case 1: {
        const std::uint8_t which = script.u8();
        pair.deliver(which, script.u8());
        break;
      }
      case 2: {
        const std::uint8_t which = script.u8();
        const std::uint16_t at = script.u16();
        pair.forge(which, at, script.u8());
        break;
      }
      case 3: pair.wait(script.u8()); break;
      case 4: {
        const std::uint8_t what = script.u8();
        pair.change(end, what, script.u8());
        break;
      }
      default: {
        const std::uint8_t kind = script.u8();
        pair.seal_anything(end, kind, (action & 64U) != 0, script.prefixed8());
        break;
      }
    }
  }
  return 0;
}
