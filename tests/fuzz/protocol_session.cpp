// SPDX-License-Identifier: Apache-2.0
// Data packets between two ends, and a network in the fuzzer's hands. A packet opens once, unchanged, at the end it was
// meant for; a genuine one that is new and inside the window always opens, whatever was delivered before.
#include <algorithm>
#include <cstdlib>

#include "support/handshakes.h"

namespace {

using namespace quipu;
using namespace quipu::protocol;

void must(bool condition) {
  if (!condition) std::abort();
}

struct Sent {
  Bytes datagram;
  bool from_initiator = false;
  std::size_t payload_size = 0;
  bool opened = false;
};

class Session {
 public:
  Session() : m_initiator(secrets(true)), m_responder(secrets(false)) {}

  void seal(bool from_initiator, Lane lane, std::size_t size) {
    if (m_sent.size() == kMaxSent) return;
    Sent sent{Bytes(size + kDataOverhead), from_initiator, size, false};
    Keypair& from = from_initiator ? m_initiator : m_responder;
    must(from.seal(lane, {FrameKind::ip}, Bytes(size, static_cast<std::uint8_t>(size)), sent.datagram).has_value());
    m_sent.push_back(std::move(sent));
  }

  void deliver(std::size_t which) {
    if (m_sent.empty()) return;
    Sent& sent = m_sent[which % m_sent.size()];
    Bytes datagram = sent.datagram;
    const auto opened = test::open(sent.from_initiator ? m_responder : m_initiator, datagram);
    // Fewer packets are sent than the window is wide.
    must(opened.has_value() != sent.opened);
    if (opened) {
      sent.opened = true;
      must(opened->payload.size() == sent.payload_size);
      for (const std::uint8_t octet : opened->payload)
        must(octet == static_cast<std::uint8_t>(sent.payload_size));
    } else {
      must(opened.error() == Errc::already_used);
    }
  }

  // A changed packet opens nowhere; nor does an unchanged one at its own sender.
  void forge(std::size_t which, std::size_t at, std::uint8_t change, std::size_t cut) {
    if (m_sent.empty()) return;
    const Sent& sent = m_sent[which % m_sent.size()];
    for (Keypair* end : {&m_initiator, &m_responder}) {
      const bool own = (end == &m_initiator) == sent.from_initiator;
      Bytes datagram = sent.datagram;
      const std::size_t missing = cut % datagram.size();
      datagram[at % datagram.size()] ^= change;
      datagram.resize(datagram.size() - missing);
      // The two are not compared: the fuzzer learns what it sees compared, and would inject() a genuine packet.
      if (own || change != 0 || missing != 0) must(!test::open(*end, datagram));
    }
  }

  void inject(ByteView octets) {
    Bytes datagram(octets.begin(), octets.end());
    must(!test::open(m_initiator, datagram));
    datagram.assign(octets.begin(), octets.end());
    must(!test::open(m_responder, datagram));
  }

 private:
  static constexpr std::size_t kMaxSent = 64;

  static SessionSecrets secrets(bool initiator) {
    static const auto done = test::run(test::Scenario());
    SessionSecrets out = test::copy_of(initiator ? done->initiator : done->responder);
    out.lanes = kMaxLanes;
    return out;
  }

  Keypair m_initiator;
  Keypair m_responder;
  std::vector<Sent> m_sent;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader script({data, std::min<std::size_t>(size, 400)});
  Session session;
  while (script.remaining() != 0) {
    const std::uint8_t action = script.u8();
    switch (action % 4) {
      case 0: session.seal((action & 4U) != 0, Lane(action >> 4U), script.u8()); break;
      case 1: session.deliver(script.u8()); break;
      case 2: {
        const std::uint8_t which = script.u8();
        const std::uint16_t at = script.u16();
        const std::uint8_t change = script.u8();
        session.forge(which, at, change, script.u8());
        break;
      }
      default: session.inject(script.prefixed8()); break;
    }
  }
  return 0;
}
