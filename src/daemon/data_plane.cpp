// SPDX-License-Identifier: Apache-2.0
#include "daemon/data_plane.h"

#include <algorithm>

#include "offload/mss.h"
#include "offload/traffic_class.h"

namespace quipu::daemon {
namespace {

using protocol::Device;

// Of sealed datagrams that leave together: as much as stays in a processor's cache.
constexpr std::size_t kOutgoing = std::size_t{256} * 1024;

}  // namespace

DataPlane::DataPlane(Device& device, tun::TunDevice& tun, net::UdpBind& udp, const Options& options)
    : m_device(device),
      m_tun(tun),
      m_udp(udp),
      m_options(options),
      m_tun_packets(kReads),
      m_in(kReceives),
      m_out(kOutgoing),
      m_opened(tun.offloads()) {
  for (std::size_t i = 0; i < kReads; ++i)
    m_tun_buffers.push_back(m_read[i]);
}

Result<void> DataPlane::from_tun(TimePoint now) {
  for (int round = 0; round < kRounds; ++round) {
    QUIPU_TRY_ASSIGN(const std::size_t packets, m_tun.read(m_tun_buffers, m_tun_packets));
    for (std::size_t i = 0; i < packets; ++i)
      if (const auto sealed = seal(m_tun_buffers[i].first(m_tun_packets[i].size), m_tun_packets[i].hints, now);
          !sealed && sealed.error() == Errc::malformed)
        ++m_drops.malformed;
    transmit_trains();
    if (packets < kReads) break;
  }
  return {};
}

Outcome<void> DataPlane::seal(MutableBytes packet, const tun::PacketHints& hints, TimePoint now) {
  QUIPU_TRY_ASSIGN(const protocol::Route route, m_device.route(packet));
  offload::clamp_mss(packet, hints.checksum_wanted, m_options.mtu);
  QUIPU_TRY_ASSIGN(const offload::Cutter cutter, offload::Cutter::create(packet, hints));
  const Run run{route, cutter, offload::outer_traffic_class(packet, m_options.copy_dscp)};
  for (std::size_t i = 0; i < cutter.segments(); ++i)
    seal_segment(run, i, now);
  return {};
}

void DataPlane::seal_segment(const Run& run, std::size_t i, TimePoint now) {
  const std::size_t size = run.cutter.size(i);
  if (m_out.room(size + protocol::kMaxOverhead).empty()) transmit_trains();
  const MutableBytes room = m_out.room(size + protocol::kMaxOverhead);
  const MutableBytes segment = room.subspan(protocol::kPacketOffset, size);
  run.cutter.write(i, segment);
  const auto sealed = m_device.seal(run.route, {segment, run.cutter.checksum_partial()}, room, now);
  // What was not sealed is queued in the Device or counted there by reason.
  if (sealed) m_out.push(sealed->to, run.traffic_class, sealed->size);
}

Result<void> DataPlane::from_udp(TimePoint now, protocol::Actions& out) {
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kReceives; ++i)
      m_in[i].buffer = m_received[i];
    const std::size_t received = m_udp.receive(m_in);
    open_batch(received, now, out);
    if (const auto packets = m_opened.gather(); !packets.empty()) QUIPU_TRY(m_tun.write(packets));
    m_opened.clear();
    if (received < kReceives) break;
  }
  return {};
}

void DataPlane::open_batch(std::size_t received, TimePoint now, protocol::Actions& out) {
  for (const net::InDatagram& in : std::span(m_in).first(received)) {
    const std::size_t each = in.segment_size == 0 ? in.size : in.segment_size;
    for (MutableBytes rest = in.buffer.first(in.size); !rest.empty();) {
      const MutableBytes datagram = rest.first(std::min(each, rest.size()));
      rest = rest.subspan(datagram.size());
      open(datagram, in, now, out);
    }
  }
}

void DataPlane::open(MutableBytes datagram, const net::InDatagram& in, TimePoint now, protocol::Actions& out) {
  if (!Device::is_data(datagram)) {
    m_device.receive(datagram, in.from, now, out);
    return;
  }
  const auto opened = m_device.open(datagram, in.from, now);
  if (!opened || opened->packet.empty()) return;
  offload::clamp_mss(opened->packet, opened->checksum_partial, m_options.mtu);
  if (!offload::take_congestion(opened->packet, in.traffic_class))
    m_device.count_drop(opened->peer, protocol::DropReason::congestion);
  else if (!m_opened.add(opened->packet, opened->checksum_partial))
    m_device.count_drop(opened->peer, protocol::DropReason::malformed);
}

void DataPlane::send(const protocol::SendDatagram& datagram) {
  const net::OutDatagram out{.to = datagram.to, .payload = datagram.bytes, .may_fragment = datagram.handshake};
  m_drops.send_queue += 1 - m_udp.send({&out, 1});
}

void DataPlane::transmit_trains() {
  const std::span<const net::OutDatagram> trains = m_out.trains();
  for (const net::OutDatagram& lost : trains.subspan(m_udp.send(trains)))
    m_drops.send_queue += lost.count();
  m_out.clear();
}

}  // namespace quipu::daemon
