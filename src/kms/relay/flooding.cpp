// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/flooding.h"

namespace quipu::kms {
namespace {

// Octets on their way to one peer, and one state more.
constexpr std::size_t kBatch = std::size_t{16} * 1024;

}  // namespace

void Flooding::flood(const KmeId& origin, const KmeId* but) {
  for (auto& [id, owed] : m_owed)
    if (but == nullptr || *but != id) owed.origins.insert(origin);
}

void Flooding::contact_made(const KmeId& peer) {
  Owed& owed = m_owed[peer];
  for (KmeId& origin : m_states.origins())
    owed.origins.insert(std::move(origin));
}

void Flooding::progress(TimePoint now) {
  for (auto& [id, owed] : m_owed)
    if (Association& peer = *m_associations.at(id); !owed.origins.empty() && peer.is_up() && !peer.is_pinging())
      send(peer, owed, now);
}

void Flooding::send(Association& peer, Owed& owed, TimePoint now) const {
  std::size_t octets = 0;
  while (!owed.origins.empty() && octets < kBatch) {
    auto next = owed.origins.upper_bound(owed.last);
    if (next == owed.origins.end()) next = owed.origins.begin();
    owed.last = owed.origins.extract(next).value();
    if (const auto state = m_states.aged(owed.last, now)) {
      octets += wire::encoded_size(*state);
      peer.send(*state);
    }
  }
  if (octets != 0) peer.ping();
}

}  // namespace quipu::kms
