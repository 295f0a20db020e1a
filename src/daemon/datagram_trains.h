// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "net/udp_bind.h"

namespace quipu::daemon {

// Sealed datagrams on their way out, laid end to end: those for one endpoint that have the same size, but for the last,
// and the same traffic class, leave as one train (UDP GSO). The order is that of push(). Allocates nothing
// once it has held as many as it ever does.
class DatagramTrains {
 public:
  // Linux before 6.9 takes no more.
  static constexpr std::size_t kMaxDatagrams = 64;
  // Octets of payload in one IPv4 packet, which a train is until it is cut.
  static constexpr std::size_t kMaxTrain = 65'507;

  explicit DatagramTrains(std::size_t capacity)
      : m_octets(std::make_unique_for_overwrite<std::uint8_t[]>(capacity)), m_capacity(capacity) {}

  // Where the next datagram is to be written; empty when so many octets are not left.
  MutableBytes room(std::size_t size) {
    return m_capacity - m_size < size ? MutableBytes() : MutableBytes(m_octets.get() + m_size, size);
  }

  // The datagram stands at the start of what room() gave. One that may be fragmented leaves alone: it is longer than
  // those that the kernel cuts a train into may be.
  void push(const Endpoint& to, std::uint8_t traffic_class, std::size_t size, bool may_fragment = false);

  std::span<const net::OutDatagram> trains() const { return m_trains; }

  void clear();

 private:
  bool belongs_to_last(const Endpoint& to, std::uint8_t traffic_class, std::size_t size) const;

  std::unique_ptr<std::uint8_t[]> m_octets;
  std::size_t m_capacity;
  std::size_t m_size = 0;
  std::size_t m_in_last = 0;    // datagrams of the last train
  bool m_last_is_open = false;  // its last datagram has the size of the others
  std::vector<net::OutDatagram> m_trains;
};

}  // namespace quipu::daemon
