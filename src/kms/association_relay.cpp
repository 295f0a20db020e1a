// SPDX-License-Identifier: Apache-2.0
// What relay and multicast need of the pool and the KM link with one peer.
#include "kms/association.h"

namespace quipu::kms {
namespace {

constexpr Duration kPadDemandTime = std::chrono::milliseconds(100);
constexpr std::size_t kMaxVoidsRepeated = 256;

}  // namespace

Result<void> Association::dispatch(const wire::RelayHop& m) {
  m_site.relay_events.emplace_back(RelayHopReceived{m_config.id, m});
  return {};
}

Result<void> Association::dispatch(const wire::LinkState& m) {
  m_site.relay_events.emplace_back(LinkStateReceived{m_config.id, m});
  return {};
}

Result<void> Association::dispatch(const wire::RelayFailed& m) {
  m_site.relay_events.emplace_back(RelayFailedReceived{m_config.id, m});
  return {};
}

void Association::send_hop(wire::RelayHop hop) {
  const BlockId relay = hop.relay;
  m_link.request(std::move(hop), RelayHopSent{relay});
}

Result<void> Association::dispatch(const wire::KeyTransfer& m) {
  m_transferred.receive(m);
  return {};
}

Result<void> Association::dispatch(const wire::KeyTransferVoid& m) {
  m_transferred.receive(m);
  return {};
}

void Association::void_transfer(const wire::TransferId& id) {
  m_voided_transfers.push_back(id);
  if (m_voided_transfers.size() > kMaxVoidsRepeated) m_voided_transfers.pop_front();
  send(wire::KeyTransferVoid{id});
}

// What a run of the peer held has ended with it.
void Association::repeat_voids(bool peer_restarted) {
  if (peer_restarted) m_voided_transfers.clear();
  for (const wire::TransferId& id : m_voided_transfers)
    send(wire::KeyTransferVoid{id});
}

void Association::send_transfer(wire::KeyTransfer transfer) {
  const wire::TransferId id = transfer.id;
  m_link.request(std::move(transfer), KeyTransferSent{id});
}

bool Association::has_pad(std::uint32_t slots) {
  // The reserve is for others.
  if (!m_link.up() || obtainable_octets() < std::uint64_t{slots} * kSlotSize) return false;
  if (m_own.ready_slots() >= slots) return true;
  want_pad(slots);
  return false;
}

std::optional<CarvedPad> Association::carve_pad(std::uint32_t slots) {
  if (!has_pad(slots)) return std::nullopt;
  auto pad = m_own.carve_pad(slots);
  QUIPU_ASSERT(pad);
  m_pad_slots = 0;
  touch();
  return pad;
}

// Whoever wants it asks at each event, so that a demand which nobody repeats is over.
void Association::want_pad(std::uint32_t slots) {
  const bool stands = m_site.now < m_pad_wanted_until;
  if (stands && slots < m_pad_slots) return;
  m_pad_wanted_until = m_site.now + kPadDemandTime;
  if (stands && slots == m_pad_slots) return;  // it was said already
  m_pad_slots = slots;
  touch();
}

// SAEs first: relay and multicast ask again.
std::optional<Demand> Association::waiting() const {
  if (const auto demand = m_delivery.waiting()) return demand;
  if (m_pad_slots == 0 || m_site.now >= m_pad_wanted_until) return std::nullopt;
  return Demand{m_pad_slots, 8 * kSlotSize};
}

}  // namespace quipu::kms
