// SPDX-License-Identifier: Apache-2.0
#include "daemon/data_plane.h"

#include <algorithm>

#include "offload/mss.h"
#include "offload/too_big.h"
#include "offload/traffic_class.h"
#include "protocol/inner_packet.h"

namespace quipu::daemon {
namespace {

// Of sealed datagrams that leave together: as much as stays in a processor's cache.
constexpr std::size_t kOutgoing = std::size_t{256} * 1024;
// Handshakes, and frames of our own, that wait for a full socket, of each: as many as a large device has peers.
constexpr std::size_t kMaxControl = 1024;

}  // namespace

DataPlane::DataPlane(protocol::PacketPath& path, tun::TunDevice& tun, net::UdpBind& udp, const Options& options,
                     HandOver hand_over)
    : m_path(path),
      m_tun(tun),
      m_udp(udp),
      m_options(options),
      m_hand_over(std::move(hand_over)),
      m_tun_packets(kReads),
      m_in(kReceives),
      m_out(kOutgoing),
      m_opened(tun.offloads()) {
  for (std::size_t i = 0; i < kReads; ++i)
    m_tun_buffers.push_back(m_read[i]);
  m_batch.reserve(kReads);
}

Result<void> DataPlane::from_tun(TimePoint now) {
  if (!m_waits_for) carry_all(now);
  for (std::size_t octets = 0; octets < kShare && !m_waits_for;) {
    if (m_own.is_done()) QUIPU_TRY(read_batch());
    octets += seal_all(m_own, now);
    transmit();
    hand_over();
    if (!m_own.is_done() || m_batch.size() < kReads) break;
  }
  return write_answers();
}

Result<void> DataPlane::read_batch() {
  m_batch.clear();
  m_own = {};
  QUIPU_TRY_ASSIGN(const std::size_t count, m_tun.read(m_tun_buffers, m_tun_packets));
  for (std::size_t i = 0; i < count; ++i)
    m_batch.push_back({m_tun_buffers[i].first(m_tun_packets[i].size), m_tun_packets[i].hints});
  m_own.packets = m_batch;
  return {};
}

DataPlane::Parcel::Parcel(std::span<const Packet> packets, std::shared_ptr<std::atomic<std::size_t>> on_the_way)
    : m_on_the_way(std::move(on_the_way)) {
  std::size_t size = 0;
  for (const Packet& packet : packets)
    size += packet.bytes.size();
  m_octets.reserve(size);
  m_packets.reserve(packets.size());
  for (const Packet& packet : packets) {
    const std::size_t at = m_octets.size();
    m_octets.insert(m_octets.end(), packet.bytes.begin(), packet.bytes.end());
    m_packets.push_back({MutableBytes(m_octets).subspan(at), packet.hints});
  }
  m_on_the_way->fetch_add(size, std::memory_order_relaxed);
}

DataPlane::Parcel::~Parcel() {
  if (m_on_the_way) m_on_the_way->fetch_sub(m_octets.size(), std::memory_order_relaxed);
}

// Of what was not sealed and has no way by this path.
void DataPlane::hand_over() {
  if (!m_unrouted.empty()) m_hand_over(Parcel(std::exchange(m_unrouted, {}), m_on_the_way));
}

void DataPlane::carry(Parcel parcel) {
  const Intake intake{parcel.packets()};
  m_carried.push_back({std::move(parcel), intake});
}

void DataPlane::carry_all(TimePoint now) {
  while (!m_carried.empty()) {
    Carried& next = m_carried.front();
    seal_all(next.intake, now);
    transmit();
    if (!next.intake.is_done()) return;
    m_carried.pop_front();
  }
}

std::size_t DataPlane::seal_all(Intake& intake, TimePoint now) {
  std::size_t octets = 0;
  for (; !intake.is_done() && seal(intake.packets[intake.next], now); ++intake.next)
    octets += intake.packets[intake.next].bytes.size() + kPerPacket;
  return octets;
}

bool DataPlane::seal(const Packet& packet, TimePoint now) {
  const auto route = m_path.route(packet.bytes, now);
  if (!route) {
    no_route(packet, route.error());
    return true;
  }
  const auto run = begin_run(packet, *route);
  if (!run) {
    ++m_drops.malformed;
    return true;
  }
  if (!has_room_for(run->cutter)) return false;
  for (std::size_t i = 0; i < run->cutter.segments(); ++i)
    seal_segment(*run, i, now);
  return true;
}

void DataPlane::no_route(const Packet& packet, Errc error) {
  if (!m_hand_over) {
    if (error == Errc::malformed) ++m_drops.malformed;
    return;
  }
  std::size_t waiting = m_on_the_way->load(std::memory_order_relaxed);
  for (const Packet& unrouted : m_unrouted)
    waiting += unrouted.bytes.size();
  if (waiting + packet.bytes.size() > kMostOnTheWay)
    ++m_drops.send_queue;
  else
    m_unrouted.push_back(packet);
}

Outcome<DataPlane::Run> DataPlane::begin_run(const Packet& packet, const protocol::Route& route) {
  offload::clamp_mss(packet.bytes, packet.hints.checksum_wanted, std::min(m_options.mtu, m_path.packet_limit(route)));
  QUIPU_TRY_ASSIGN(const offload::Cutter cutter, offload::Cutter::create(packet.bytes, packet.hints));
  return Run{route, cutter, offload::outer_traffic_class(packet.bytes, m_options.copy_dscp)};
}

// Or for as much of it as there is ever room for.
bool DataPlane::has_room_for(const offload::Cutter& cutter) {
  const std::size_t size = std::min(cutter.segments() * (cutter.size(0) + protocol::kMaxOverhead), kOutgoing);
  if (m_out.room(size).empty()) transmit();
  return !m_out.room(size).empty();
}

void DataPlane::seal_segment(const Run& run, std::size_t i, TimePoint now) {
  const std::size_t size = run.cutter.size(i);
  if (m_out.room(size + protocol::kMaxOverhead).empty()) transmit();
  const MutableBytes room = m_out.room(size + protocol::kMaxOverhead);
  if (room.empty()) {  // of a run of more segments than can wait
    ++m_drops.send_queue;
    return;
  }
  const MutableBytes segment = room.subspan(protocol::kPacketOffset, size);
  run.cutter.write(i, segment);
  const auto sealed = m_path.seal(run.route, {segment, run.cutter.checksum_partial()}, room, now);
  // What was not sealed is queued in the Device or counted there by reason.
  if (sealed)
    m_out.push(sealed->to, run.traffic_class, sealed->size, sealed->may_fragment);
  else if (sealed.error() == Errc::too_large && i == 0)  // of a run, all but the last have the size of the first
    answer_too_big(segment, run.route, now);
}

// The rate comes first: a flood of such packets costs no work. It counts those of which nothing may be said, too.
void DataPlane::answer_too_big(ByteView packet, const protocol::Route& route, TimePoint now) {
  const auto addresses = protocol::inner_addresses(packet);
  if (!addresses || !m_answer_rates.take(addresses->source, now)) return;
  if (auto answer = offload::answer_too_big(packet, m_path.packet_limit(route)))
    m_answers.push_back(*std::move(answer));
}

Result<void> DataPlane::write_answers() {
  for (const Bytes& answer : std::exchange(m_answers, {})) {
    const ByteView whole = answer;
    const tun::GatheredPacket packet{.parts = {&whole, 1}, .hints = {}};
    QUIPU_TRY(m_tun.write({&packet, 1}));
  }
  return {};
}

Result<void> DataPlane::from_udp(TimePoint now, protocol::Actions& out) {
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kReceives; ++i)
      m_in[i].buffer = m_received[i];
    const std::size_t received = m_udp.receive(m_in);
    m_opened.clear();
    open_batch(received, now, out);
    if (const auto packets = m_opened.gather(); !packets.empty()) QUIPU_TRY(m_tun.write(packets));
    if (received < kReceives) break;
  }
  return {};
}

void DataPlane::open_batch(std::size_t received, TimePoint now, protocol::Actions& out) {
  for (const net::InDatagram& in : std::span(m_in).first(received)) {
    const std::size_t each = in.segment_size == 0 ? in.size : in.segment_size;
    MutableBytes rest = in.buffer.first(in.size);
    do {  // an empty one is a datagram, too
      const MutableBytes datagram = rest.first(std::min(each, rest.size()));
      rest = rest.subspan(datagram.size());
      open(datagram, in, now, out);
    } while (!rest.empty());
  }
}

void DataPlane::open(MutableBytes datagram, const net::InDatagram& in, TimePoint now, protocol::Actions& out) {
  if (!protocol::PacketPath::is_data(datagram)) {
    m_path.receive(datagram, in.from, now, out);
    return;
  }
  const auto opened = m_path.open(datagram, in.from, now);
  if (!opened || opened->packet.empty()) return;
  offload::clamp_mss(opened->packet, opened->checksum_partial, std::min(m_options.mtu, opened->limit));
  if (!offload::take_congestion(opened->packet, in.traffic_class))
    m_path.discard(*opened, protocol::DropReason::congestion);
  else if (!m_opened.add(opened->packet, opened->checksum_partial))
    m_path.discard(*opened, protocol::DropReason::malformed);
}

void DataPlane::send(protocol::SendDatagram datagram) {
  auto& queue = datagram.handshake ? m_handshakes : m_frames;
  if (queue.size() == kMaxControl) {
    ++m_drops.send_queue;
    return;
  }
  queue.push_back(std::move(datagram));
  if (!m_waits_for) flush();
}

void DataPlane::resume() {
  m_waits_for.reset();
  flush();
}

// Frames are sealed, perhaps under newer keys than the trains: they do not overtake them.
void DataPlane::flush() {
  transmit_all(m_handshakes);
  transmit();
  transmit_all(m_frames);
}

void DataPlane::transmit_all(std::deque<protocol::SendDatagram>& queue) {
  while (!queue.empty() && !m_waits_for) {
    const protocol::SendDatagram& next = queue.front();
    const net::OutDatagram out{.to = next.to, .payload = next.bytes, .may_fragment = next.may_fragment};
    if (m_udp.send({&out, 1}) == 0)
      m_waits_for = m_udp.descriptor_for(next.to.address.family);
    else
      queue.pop_front();
  }
}

// What was not sent waits where it stands.
void DataPlane::transmit() {
  if (m_waits_for) return;
  const std::span<const net::OutDatagram> trains = m_out.trains();
  m_sent += m_udp.send(trains.subspan(m_sent));
  if (m_sent < trains.size()) {
    m_waits_for = m_udp.descriptor_for(trains[m_sent].to.address.family);
    return;
  }
  m_out.clear();
  m_sent = 0;
}

}  // namespace quipu::daemon
