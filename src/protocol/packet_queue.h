// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>

#include "base/bytes.h"
#include "base/time.h"
#include "protocol/timing.h"

namespace quipu::protocol {

// Packets that wait for a session: the newest 128.
class PacketQueue {
 public:
  // True when the oldest had to go.
  bool push(ByteView packet) {
    const bool full = m_packets.size() >= kQueuedPackets;
    if (full) m_packets.pop_front();
    m_packets.emplace_back(packet.begin(), packet.end());
    return full;
  }

  std::deque<Bytes> take_all() { return std::exchange(m_packets, {}); }

  std::size_t size() const { return m_packets.size(); }

  bool empty() const { return m_packets.empty(); }

 private:
  std::deque<Bytes> m_packets;
};

}  // namespace quipu::protocol
