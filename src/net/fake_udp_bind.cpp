// SPDX-License-Identifier: Apache-2.0
#include "net/fake_udp_bind.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace quipu::net {

bool FakeUdpNetwork::deliver(const Packet& packet) {
  const auto found = m_binds.find(packet.to);
  if (found == m_binds.end()) return false;
  found->second->arrive(packet);
  return true;
}

namespace {

void drain(int fd) {
  std::array<std::uint8_t, 4096> unused;
  while (::read(fd, unused.data(), unused.size()) > 0) {
  }
}

}  // namespace

FakeUdpBind::FakeUdpBind(FakeUdpNetwork& network, const Endpoint& local) : m_network(network), m_local(local) {
  std::array<int, 2> ends{};
  QUIPU_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
  m_near = UniqueFd(ends[0]);
  m_far = UniqueFd(ends[1]);
  m_near_fd = m_near.get();
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

void FakeUdpBind::limit_sends(std::optional<std::size_t> count) {
  m_send_room = count;
  const std::array<std::uint8_t, 4096> filling{};
  if (count && *count == 0)
    while (::write(m_near_fd, filling.data(), filling.size()) > 0) {
    }
  else
    drain(m_far.get());
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
                                          datagram.traffic_class, datagram.may_fragment};
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
    if (m_gathers) add_train(in, packet);
    ++filled;
  }
  if (m_queue.empty()) drain(m_near_fd);
  return filled;
}

void FakeUdpBind::add_train(InDatagram& in, const FakeUdpNetwork::Packet& first) {
  const std::size_t each = first.payload.size();
  bool whole = true;  // the last one has the size of the others
  while (whole && !m_queue.empty()) {
    const FakeUdpNetwork::Packet& next = m_queue.front();
    const std::size_t size = next.payload.size();
    if (next.from != first.from || next.traffic_class != first.traffic_class || size == 0 || size > each ||
        size > in.buffer.size() - in.size)
      return;
    std::ranges::copy(next.payload, in.buffer.subspan(in.size).begin());
    in.size += size;
    in.segment_size = static_cast<std::uint16_t>(each);
    whole = size == each;
    m_queue.pop_front();
  }
}

void FakeUdpBind::arrive(const FakeUdpNetwork::Packet& packet) {
  m_queue.push_back(packet);
  const std::uint8_t one = 1;
  (void)!::write(m_far.get(), &one, sizeof one);
}

}  // namespace quipu::net
