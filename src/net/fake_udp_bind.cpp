// SPDX-License-Identifier: Apache-2.0
#include "net/fake_udp_bind.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"

namespace quipu::net {

bool FakeUdpNetwork::deliver(const Packet& packet) {
  const auto found = m_binds.find(packet.to);
  if (found == m_binds.end()) return false;
  found->second->arrive(packet);
  return true;
}

FakeUdpBind::FakeUdpBind(FakeUdpNetwork& network, const Endpoint& local)
    : m_network(network), m_local(local), m_readable(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  QUIPU_ASSERT(m_readable);
  m_readable_fd = m_readable.get();
  QUIPU_ASSERT(m_network.m_binds.emplace(local, this).second);
}

FakeUdpBind::~FakeUdpBind() {
  m_network.m_binds.erase(m_local);
}

void FakeUdpBind::move_to(const Endpoint& local) {
  m_network.m_binds.erase(m_local);
  m_local = local;
  QUIPU_ASSERT(m_network.m_binds.emplace(local, this).second);
}

std::size_t FakeUdpBind::send(std::span<const OutDatagram> datagrams) {
  std::size_t done = 0;
  for (const OutDatagram& datagram : datagrams) {
    if (m_send_room && *m_send_room == 0) break;
    if (m_send_room) --*m_send_room;
    ++done;
    if (m_refusals > 0) {
      --m_refusals;
      m_stats.send_failed += datagram.count();
      continue;
    }
    const std::size_t step = datagram.segment_size == 0 ? datagram.payload.size() : datagram.segment_size;
    ByteView rest = datagram.payload;
    do {
      const ByteView segment = rest.first(std::min(step, rest.size()));
      rest = rest.subspan(segment.size());
      const FakeUdpNetwork::Packet packet{m_local, datagram.to, Bytes(segment.begin(), segment.end()),
                                          datagram.traffic_class};
      if (!m_network.on_send || m_network.on_send(packet)) m_network.deliver(packet);
    } while (!rest.empty());
  }
  return done;
}

std::size_t FakeUdpBind::receive(std::span<InDatagram> datagrams) {
  std::size_t filled = 0;
  while (filled < datagrams.size() && !m_queue.empty()) {
    const FakeUdpNetwork::Packet packet = std::move(m_queue.front());
    m_queue.pop_front();
    InDatagram& in = datagrams[filled];
    if (packet.payload.size() > in.buffer.size()) {
      ++m_stats.truncated;
      continue;
    }
    std::ranges::copy(packet.payload, in.buffer.begin());
    in.size = packet.payload.size();
    in.from = packet.from;
    in.segment_size = 0;
    in.traffic_class = packet.traffic_class;
    ++filled;
  }
  std::uint64_t count = 0;
  if (m_queue.empty()) (void)!::read(m_readable_fd, &count, sizeof count);
  return filled;
}

void FakeUdpBind::arrive(const FakeUdpNetwork::Packet& packet) {
  m_queue.push_back(packet);
  const std::uint64_t one = 1;
  (void)!::write(m_readable_fd, &one, sizeof one);
}

}  // namespace quipu::net
