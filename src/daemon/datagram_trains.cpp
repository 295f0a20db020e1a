// SPDX-License-Identifier: Apache-2.0
#include "daemon/datagram_trains.h"

#include "base/assert.h"

namespace quipu::daemon {

void DatagramTrains::push(const Endpoint& to, std::uint8_t traffic_class, std::size_t size, bool may_fragment) {
  QUIPU_ASSERT(size > 0 && size <= m_capacity - m_size);
  const ByteView datagram(m_octets.get() + m_size, size);
  m_size += size;
  if (may_fragment || !belongs_to_last(to, traffic_class, size)) {
    m_trains.push_back({.to = to, .payload = datagram, .traffic_class = traffic_class, .may_fragment = may_fragment});
    m_in_last = 1;
    m_last_is_open = !may_fragment;
    return;
  }
  net::OutDatagram& train = m_trains.back();
  if (m_in_last == 1) train.segment_size = static_cast<std::uint16_t>(train.payload.size());
  train.payload = ByteView(train.payload.data(), train.payload.size() + size);
  ++m_in_last;
  m_last_is_open = size == train.segment_size;
}

bool DatagramTrains::belongs_to_last(const Endpoint& to, std::uint8_t traffic_class, std::size_t size) const {
  if (m_trains.empty() || !m_last_is_open || m_in_last == kMaxDatagrams) return false;
  const net::OutDatagram& train = m_trains.back();
  const std::size_t each = m_in_last == 1 ? train.payload.size() : train.segment_size;
  return size <= each && train.payload.size() + size <= kMaxTrain && train.traffic_class == traffic_class &&
         train.to == to;
}

void DatagramTrains::clear() {
  m_size = m_in_last = 0;
  m_last_is_open = false;
  m_trains.clear();
}

}  // namespace quipu::daemon
