// SPDX-License-Identifier: Apache-2.0
#include "protocol/device.h"

#include <algorithm>

#include "protocol/device_state.h"
#include "protocol/inner_packet.h"

namespace quipu::protocol {

Device::Device(std::unique_ptr<State> state) : m_state(std::move(state)) {}

Device::Device(Device&&) noexcept = default;
Device& Device::operator=(Device&&) noexcept = default;
Device::~Device() = default;

Result<Device> Device::create(DeviceConfig config, crypto::Rng& rng) {
  const crypto::X25519PublicKey public_key = crypto::x25519_public_key(config.private_key);
  if (std::ranges::all_of(public_key.value(), [](std::uint8_t octet) { return octet == 0; }))
    return fail(Errc::bad_key, "the device's private key is not usable: make a new one");
  Shared shared{Identity{std::move(config.private_key), public_key},
                rng,
                {},
                StampSource(config.stamps_end),
                config.key_limits,
                config.lanes,
                0,
                {},
                0};
  return Device(std::make_unique<State>(std::move(shared), config.mtu));
}

const crypto::X25519PublicKey& Device::public_key() const {
  return m_state->shared.own.public_key;
}

Outcome<Route> Device::route(ByteView packet, TimePoint) {
  const auto inner = inner_addresses(packet);
  if (!inner) return std::unexpected(Errc::malformed);
  const auto owner = m_state->allowed.find(inner->destination);
  if (!owner) {
    if (!is_link_local_multicast(inner->destination)) ++m_state->statistics.no_route;
    return std::unexpected(Errc::not_found);
  }
  return Route(m_state->peers.find(*owner));
}

std::size_t Device::packet_limit(const Route& route) const {
  return static_cast<const PeerEntry*>(route.target())->machine.packet_limit();
}

Outcome<Sealed> Device::seal(const Route& route, const InnerPacket& packet, MutableBytes out, TimePoint now) {
  PeerEntry& entry = *static_cast<PeerEntry*>(route.target());
  m_state->peers.touch(entry);
  return entry.machine.seal(packet, out, now);
}

Outcome<Opened> Device::open(MutableBytes datagram, const Endpoint& from, TimePoint now) {
  const auto index = receiver_index(datagram);
  if (!index) {
    ++m_state->statistics.malformed;
    return std::unexpected(Errc::malformed);
  }
  const auto owner = m_state->shared.indices.find(*index);
  if (!owner) {
    ++m_state->statistics.unknown_index;
    return std::unexpected(Errc::not_found);
  }
  return m_state->peer(*owner)->open(*index, datagram, from, m_state->shared, m_state->allowed, now);
}

void Device::discard(const Opened& opened, DropReason reason) {
  if (PeerMachine* peer = m_state->peer(opened.peer)) peer->discard(opened.packet.size(), reason);
}

void Device::lane_was_used(const SideLane::Used& used, TimePoint now) {
  m_state->now = std::max(m_state->now, now);
  if (PeerMachine* peer = m_state->peer(used.peer)) peer->lane_was_used(used, m_state->allowed, now);
}

void Device::key_fetched(KeyRequestId id, KeyId key_id, Secret<32> key, TimePoint now, Actions& out) {
  const auto request = m_state->take_request(id);
  if (!request) return;
  if (PeerMachine* peer = m_state->peer(request->peer))
    peer->key_fetched(id, *request, key_id, std::move(key), m_state->context(now, out));
  else
    out.emplace_back(BurnKey{request->peer, request->source, std::move(key_id)});
}

void Device::key_failed(KeyRequestId id, KeyFailure failure, TimePoint now, Actions& out) {
  const auto request = m_state->take_request(id);
  PeerMachine* peer = request ? m_state->peer(request->peer) : nullptr;
  if (peer != nullptr) peer->key_failed(id, failure, m_state->context(now, out));
}

void Device::stamps_reserved(Stamp end, TimePoint now, Actions& out) {
  m_state->shared.stamps.reserved(end);
  m_state->peers.touch_all();
  advance(now, out);
}

void Device::endpoint_resolved(PeerId id, const Endpoint& endpoint, TimePoint now, Actions& out) {
  if (PeerMachine* peer = m_state->peer(id)) peer->endpoint_resolved(endpoint);
  advance(now, out);
}

Result<void> Device::rekey_now(PeerId id, TimePoint now, Actions& out) {
  PeerMachine* peer = m_state->peer(id);
  if (peer == nullptr) return fail(Errc::not_found, "no such peer");
  QUIPU_TRY(peer->rekey_now(now));
  advance(now, out);
  return {};
}

Result<void> Device::permit_stamp_jump(PeerId id) {
  PeerMachine* peer = m_state->peer(id);
  if (peer == nullptr) return fail(Errc::not_found, "no such peer");
  peer->permit_stamp_jump();
  return {};
}

void Device::key_stock(PeerId id, std::uint8_t slot, std::optional<std::uint32_t> keys) {
  if (PeerMachine* peer = m_state->peer(id)) peer->key_stock(slot, keys);
}

void Device::erase_sessions(TimePoint now, Actions& out) {
  m_state->peers.touch_all();
  for (auto& [id, entry] : m_state->peers)
    entry.machine.reset(m_state->context(now, out));
}

void Device::advance(TimePoint now, Actions& out) {
  if (std::exchange(m_state->routes_untold, false))
    out.emplace_back(UpdateLanes{std::make_shared<const AllowedIps>(m_state->allowed)});
  m_state->peers.advance(m_state->context(now, out));
  if (m_state->peers.empty()) return;
  if (const auto end = m_state->shared.stamps.wanted()) out.emplace_back(ReserveStamps{*end});
}

std::optional<TimePoint> Device::next_deadline() const {
  if (m_state->routes_untold) return m_state->now;
  return m_state->peers.next_deadline(m_state->now);
}

std::vector<PeerStatus> Device::status(TimePoint now) const {
  std::vector<PeerStatus> out;
  for (const auto& [id, entry] : m_state->peers)
    out.push_back(entry.machine.status(now));
  return out;
}

const DeviceStatistics& Device::statistics() const {
  return m_state->statistics;
}

}  // namespace quipu::protocol
