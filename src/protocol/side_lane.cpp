// SPDX-License-Identifier: Apache-2.0
#include "protocol/side_lane.h"

#include <algorithm>
#include <limits>

#include "protocol/control_frame.h"
#include "protocol/inner_packet.h"

namespace quipu::protocol {

// --- what the Device decides ---

void SideLane::apply(const LaneUpdate& update) {
  if (const auto* view = std::get_if<PeerView>(&update))
    see(*view);
  else if (const auto* gone = std::get_if<PeerGone>(&update))
    forget(gone->id);
  else
    know_routes(std::get<std::shared_ptr<const AllowedIps>>(update));
}

// As Device::leave_protected_endpoints().
void SideLane::know_routes(std::shared_ptr<const AllowedIps> routes) {
  m_routes = std::move(routes);
  for (auto& [id, peer] : m_peers)
    if (peer.endpoint && m_routes->find(peer.endpoint->address)) locate(peer, peer.view.endpoint);
}

void SideLane::see(const PeerView& view) {
  Peer& peer = m_peers[view.id];
  forget_keys(peer);
  const bool followed = peer.endpoint && view.endpoint && peer.endpoint->address == view.endpoint->address;
  if (view.endpoint != peer.view.endpoint && !followed) locate(peer, view.endpoint);
  const bool new_session = view.current().keypair && !peer.view.current().keypair;
  // Its probes are as large as packets may be.
  if (new_session || view.packet_limit != peer.view.packet_limit) peer.path = {};
  peer.view = view;
  know_keys(peer);
  tell_whether_it_carries(peer);
}

void SideLane::locate(Peer& peer, const std::optional<Endpoint>& first_lane) const {
  peer.endpoint = first_lane;
  peer.path = {};
  if (!first_lane) return;
  constexpr int kMostPorts = std::numeric_limits<std::uint16_t>::max();
  const int port = first_lane->port + m_number.value();
  if (port > kMostPorts)
    peer.endpoint.reset();
  else
    peer.endpoint->port = static_cast<std::uint16_t>(port);
}

void SideLane::forget(PeerId id) {
  const auto found = m_peers.find(id);
  if (found == m_peers.end()) return;
  forget_keys(found->second);
  std::erase(m_touched, &found->second);
  m_peers.erase(found);
}

void SideLane::forget_keys(const Peer& peer) {
  for (const PeerView::Keys& keys : peer.view.keys)
    if (keys.keypair) m_receivers.erase(keys.keypair->local());
}

void SideLane::know_keys(Peer& peer) {
  for (const PeerView::Keys& keys : peer.view.keys)
    if (keys.keypair) m_receivers.insert_or_assign(keys.keypair->local(), Receiver{&peer, keys});
}

// --- packets ---

bool SideLane::has_keys(const Peer& peer, TimePoint now) const {
  const PeerView::Keys& keys = peer.view.current();
  return keys.keypair && now < keys.dies && m_number.value() < keys.keypair->lanes() && peer.endpoint;
}

LaneTally& SideLane::tally(const Peer& peer) const {
  return (*peer.view.tallies)[m_number.value() - std::size_t{1}];
}

std::unexpected<Errc> SideLane::dropped(Peer& peer, Errc error) const {
  ++tally(peer).drops[static_cast<std::size_t>(drop_reason(error))];
  return std::unexpected(error);
}

void SideLane::touch(Peer& peer) {
  if (std::exchange(peer.touched, true)) return;
  m_touched.push_back(&peer);
}

Outcome<Route> SideLane::route(ByteView packet, TimePoint now) {
  const auto inner = inner_addresses(packet);
  if (!inner) return std::unexpected(Errc::malformed);
  const auto owner = m_routes->find(inner->destination);
  if (!owner) return std::unexpected(Errc::not_found);
  const auto found = m_peers.find(*owner);
  if (found == m_peers.end() || !has_keys(found->second, now)) return std::unexpected(Errc::unavailable);
  Peer& peer = found->second;
  peer.path.want();
  touch(peer);
  if (!peer.path.carries()) return std::unexpected(Errc::unavailable);
  return Route(&peer);
}

std::size_t SideLane::packet_limit(const Route& route) const {
  return static_cast<const Peer*>(route.target())->view.packet_limit;
}

Outcome<Sealed> SideLane::seal(const Route& route, const InnerPacket& packet, MutableBytes out, TimePoint now) {
  Peer& peer = *static_cast<Peer*>(route.target());
  const bool too_big = packet.octets.size() > peer.view.packet_limit;
  if (too_big && !may_be_fragmented(packet.octets)) return dropped(peer, Errc::too_large);
  const auto size =
      peer.view.current().keypair->seal(m_number, {FrameKind::ip, packet.checksum_partial}, packet.octets, out);
  if (!size) return dropped(peer, size.error());
  LaneTally& tally = this->tally(peer);
  ++tally.tx_packets;
  tally.tx_bytes += packet.octets.size();
  tally.sent.store(now, std::memory_order_relaxed);
  return Sealed{peer.view.id, *peer.endpoint, *size, too_big};
}

Outcome<Opened> SideLane::open(MutableBytes datagram, const Endpoint& from, TimePoint now) {
  const auto index = receiver_index(datagram);
  if (!index) {
    ++m_drops.malformed;
    return std::unexpected(Errc::malformed);
  }
  const auto found = m_receivers.find(*index);
  if (found == m_receivers.end()) {
    ++m_drops.unknown_index;
    return std::unexpected(Errc::not_found);
  }
  Peer& peer = *found->second.peer;
  QUIPU_TRY_ASSIGN(const OpenedFrame frame, open_frame(found->second, datagram, now));
  if (frame.newest && found->second.keys == peer.view.current()) follow(peer, from, now);
  if (frame.header.kind == FrameKind::control) handle_control_frame(peer, frame.payload, now);
  if (frame.header.kind != FrameKind::ip) return Opened{peer.view.id, {}, false, peer.view.packet_limit};
  if (const auto checked = m_routes->check_source(frame.payload, peer.view.id); !checked)
    return dropped(peer, checked.error());
  LaneTally& tally = this->tally(peer);
  ++tally.rx_packets;
  tally.rx_bytes += frame.payload.size();
  tally.received.store(now, std::memory_order_relaxed);
  return Opened{peer.view.id, frame.payload, frame.header.checksum_partial, peer.view.packet_limit};
}

// What does not open leaves no trace but its count, and the alarm that is due when there are very many.
Outcome<OpenedFrame> SideLane::open_frame(const Receiver& receiver, MutableBytes datagram, TimePoint now) {
  Peer& peer = *receiver.peer;
  if (now >= receiver.keys.dies) return dropped(peer, Errc::expired);
  const auto frame = receiver.keys.keypair->open(m_number, datagram);
  if (!frame) {
    if (receiver.keys.keypair->under_attack()) touch(peer);
    return dropped(peer, frame.error());
  }
  tally(peer).opened.store(now, std::memory_order_relaxed);
  touch(peer);
  return *frame;
}

// As PeerMachine::follow(). Whoever has the peer move back and forth does not have a large probe sent to each place.
void SideLane::follow(Peer& peer, const Endpoint& from, TimePoint now) {
  if (from == peer.endpoint || m_routes->find(from.address)) return;
  peer.endpoint = from;
  if (peer.path_begins.take(now)) peer.path = {};
  if (peer.view.endpoint && peer.view.endpoint->address != from.address) peer.moved = from;
}

void SideLane::discard(const Opened& opened, DropReason reason) {
  const auto found = m_peers.find(opened.peer);
  if (found == m_peers.end()) return;
  LaneTally& tally = this->tally(found->second);
  tally.rx_packets -= 1;
  tally.rx_bytes -= opened.packet.size();
  ++tally.drops[static_cast<std::size_t>(reason)];
}

void SideLane::receive(MutableBytes, const Endpoint&, TimePoint, Actions&) {
  ++m_drops.malformed;
}

// --- probes ---

void SideLane::handle_control_frame(Peer& peer, ByteView payload, TimePoint now) {
  const auto frame = parse_control_frame(payload);
  if (!frame) return;
  if (const auto* probe = std::get_if<MtuProbe>(&*frame)) {
    if (has_keys(peer, now) && peer.probe_answers.take(now)) transmit(peer, write_control_frame(MtuAnswer{probe->id}));
  } else if (const auto* answer = std::get_if<MtuAnswer>(&*frame)) {
    peer.path.answered(answer->id, now);
  }
}

void SideLane::transmit(const Peer& peer, ByteView control_frame) {
  Bytes datagram(control_frame.size() + kDataOverhead);
  const auto size = peer.view.current().keypair->seal(m_number, {FrameKind::control}, control_frame, datagram);
  if (!size) return;
  datagram.resize(*size);
  m_outbox.push_back({peer.view.id, *peer.endpoint, std::move(datagram), false, false});
}

void SideLane::progress(Peer& peer, TimePoint now) {
  const auto probe = peer.path.advance(now);
  if (probe && has_keys(peer, now)) transmit(peer, write_control_frame(MtuProbe{*probe, peer.view.packet_limit}));
  tell_whether_it_carries(peer);
  if (const auto due = peer.path.next_deadline()) m_due = std::min(m_due.value_or(*due), *due);
}

void SideLane::tell_whether_it_carries(const Peer& peer) const {
  tally(peer).carries.store(peer.view.current().keypair && peer.path.carries(), std::memory_order_relaxed);
}

// Whoever was told looks at the tally after it has said that it is to be told again: nothing is missed.
void SideLane::tell(Peer& peer, Events& out) const {
  if (tally(peer).told.exchange(true, std::memory_order_acq_rel)) return;
  out.used.push_back({peer.view.id, std::exchange(peer.moved, std::nullopt)});
}

void SideLane::advance(TimePoint now, Events& out) {
  if (m_due && *m_due <= now) {
    m_due.reset();
    for (auto& [id, peer] : m_peers)
      progress(peer, now);
  }
  m_touched.swap(m_touched_before);
  for (Peer* peer : m_touched_before) {
    peer->touched = false;
    progress(*peer, now);
    tell(*peer, out);
  }
  m_touched_before.clear();
  std::ranges::move(m_outbox, std::back_inserter(out.send));
  m_outbox.clear();
}

std::optional<TimePoint> SideLane::next_deadline() const {
  return m_due;
}

}  // namespace quipu::protocol
