// SPDX-License-Identifier: Apache-2.0
// Slots of the peer's leases that seal what it sends, and are no SAE's.
#include <algorithm>

#include "kms/opened_leases.h"

namespace quipu::kms {

bool OpenedLeases::bind_pad(const std::vector<wire::PadPart>& parts) {
  std::set<LeaseId> named;  // each once, so that parts cannot overlap
  for (const wire::PadPart& part : parts) {
    const auto lease = m_leases.find(part.lease);
    const std::size_t end = std::size_t{part.slot} + part.slots;
    if (lease == m_leases.end() || end > lease->second.key_ids.size() || !named.insert(part.lease).second ||
        !is_unbound(lease->second, part.slot, end))
      return false;
  }
  for (const wire::PadPart& part : parts) {
    Bound bound;
    bound.slots = part.slots;
    Lease& lease = m_leases.at(part.lease);
    bind(lease, part.slot, std::move(bound));
    close_slot(lease, part.slot);  // no SAE's
  }
  return true;
}

OpenedLeases::Bound* OpenedLeases::find_pad(const wire::PadPart& part) {
  const auto lease = m_leases.find(part.lease);
  if (lease == m_leases.end()) return nullptr;
  const auto bound = lease->second.bound.find(part.slot);
  return bound == lease->second.bound.end() || !bound->second.named.empty() ? nullptr : &bound->second;
}

OpenedLeases::PadFinding OpenedLeases::take_pad(const std::vector<wire::PadPart>& parts, SecretBytes& octets) {
  if (std::ranges::any_of(parts, [&](const wire::PadPart& part) { return find_pad(part) == nullptr; })) {
    give_up_pad(parts);
    return PadFinding::gone;
  }
  std::size_t slots = 0;
  for (const wire::PadPart& part : parts) {
    if (!m_leases.at(part.lease).acknowledged) return PadFinding::waiting;
    slots += part.slots;
  }
  octets = SecretBytes(slots * kSlotSize);
  ByteWriter writer(octets.mutable_view());
  for (const wire::PadPart& part : parts) {
    Lease& lease = m_leases.at(part.lease);
    const std::size_t size = std::size_t{part.slots} * kSlotSize;
    writer.bytes(lease.keys.view().subspan(std::size_t{part.slot} * kSlotSize, size));
    lease.use.consumed += size;
    retire(lease, lease.bound.find(part.slot));
  }
  m_used_octets += octets.size();
  return PadFinding::taken;
}

void OpenedLeases::give_up_pad(const std::vector<wire::PadPart>& parts) {
  for (const wire::PadPart& part : parts)
    if (find_pad(part) != nullptr) retire(m_leases.at(part.lease), m_leases.at(part.lease).bound.find(part.slot));
}

}  // namespace quipu::kms
