// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>

#include "base/bytes.h"
#include "base/time.h"
#include "protocol/timing.h"

namespace quipu::protocol {

// An IP packet on its way into a tunnel, as one datagram carries it.
struct InnerPacket {
  ByteView octets;
  bool checksum_partial = false;  // FrameHeader
};

// Packets that wait for a session: the newest 128.
class PacketQueue {
 public:
  // True when the oldest had to go.
  bool push(const InnerPacket& packet) {
    const bool full = m_packets.size() >= kQueuedPackets;
    if (full) m_packets.pop_front();
    m_packets.push_back({Bytes(packet.octets.begin(), packet.octets.end()), packet.checksum_partial});
    return full;
  }

  struct Waiting {
    Bytes octets;
    bool checksum_partial = false;
  };

  std::deque<Waiting> take_all() { return std::exchange(m_packets, {}); }

  std::size_t size() const { return m_packets.size(); }

  bool empty() const { return m_packets.empty(); }

 private:
  std::deque<Waiting> m_packets;
};

}  // namespace quipu::protocol
