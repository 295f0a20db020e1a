// SPDX-License-Identifier: Apache-2.0
#include "daemon/data_plane.h"

namespace quipu::daemon {

using protocol::Device;

DataPlane::DataPlane(Device& device, tun::TunDevice& tun, net::UdpBind& udp)
    : m_device(device), m_tun(tun), m_udp(udp), m_tun_packets(kBatch), m_in(kBatch) {
  for (std::size_t i = 0; i < kBatch; ++i) {
    const MutableBytes datagram = m_sealed[i];
    m_tun_buffers.push_back(datagram.subspan(protocol::kPacketOffset, datagram.size() - protocol::kMaxOverhead));
  }
  m_out.reserve(kBatch);
  m_write.reserve(kBatch);
}

Result<void> DataPlane::from_tun(TimePoint now) {
  for (int round = 0; round < kRounds; ++round) {
    QUIPU_TRY_ASSIGN(const std::size_t packets, m_tun.read(m_tun_buffers, m_tun_packets));
    seal_batch(packets, now);
    if (packets < kBatch) break;
  }
  return {};
}

void DataPlane::seal_batch(std::size_t packets, TimePoint now) {
  m_out.clear();
  for (std::size_t i = 0; i < packets; ++i) {
    const MutableBytes sealed_bytes = m_sealed[i];
    const auto sealed = m_device.seal(m_tun_buffers[i].first(m_tun_packets[i].size), sealed_bytes, now);
    // What was not sealed is queued in the Device or counted there by reason.
    if (sealed) m_out.push_back({.to = sealed->to, .payload = sealed_bytes.first(sealed->size)});
  }
  transmit(m_out);
}

Result<void> DataPlane::from_udp(TimePoint now, protocol::Actions& out) {
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kBatch; ++i)
      m_in[i].buffer = m_received[i];
    const std::size_t datagrams = m_udp.receive(m_in);
    m_write.clear();
    open_batch(datagrams, now, out);
    if (!m_write.empty()) QUIPU_TRY(m_tun.write(m_write));
    if (datagrams < kBatch) break;
  }
  return {};
}

void DataPlane::open_batch(std::size_t datagrams, TimePoint now, protocol::Actions& out) {
  for (std::size_t i = 0; i < datagrams; ++i) {
    const MutableBytes datagram = m_in[i].buffer.first(m_in[i].size);
    if (!Device::is_data(datagram)) {
      m_device.receive(datagram, m_in[i].from, now, out);
    } else if (const auto opened = m_device.open(datagram, m_in[i].from, now); opened && !opened->packet.empty()) {
      m_write.push_back({.bytes = opened->packet, .hints = {}});
    }
  }
}

void DataPlane::send(const protocol::SendDatagram& datagram) {
  const net::OutDatagram out{.to = datagram.to, .payload = datagram.bytes, .may_fragment = datagram.handshake};
  transmit({&out, 1});
}

void DataPlane::transmit(std::span<const net::OutDatagram> datagrams) {
  if (!datagrams.empty()) m_send_queue_drops += datagrams.size() - m_udp.send(datagrams);
}

}  // namespace quipu::daemon
