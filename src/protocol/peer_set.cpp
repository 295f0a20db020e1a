// SPDX-License-Identifier: Apache-2.0
#include "protocol/peer_set.h"

namespace quipu::protocol {

void PeerSet::add(PeerConfig config, const crypto::X25519PublicKey& own, const PeerMachine::Carriage& carriage) {
  const PeerId id = config.id;
  const auto [added, is_new] = m_entries.try_emplace(id, std::move(config), own, carriage);
  QUIPU_ASSERT(is_new);
  touch(added->second);
}

void PeerSet::remove(PeerId id) {
  const auto found = m_entries.find(id);
  QUIPU_ASSERT(found != m_entries.end());
  std::erase(m_touched, &found->second);
  set_due(id, found->second, std::nullopt);
  m_entries.erase(found);
}

PeerEntry* PeerSet::find(PeerId id) {
  const auto found = m_entries.find(id);
  return found == m_entries.end() ? nullptr : &found->second;
}

void PeerSet::touch_all() {
  for (auto& [id, entry] : m_entries)
    touch(entry);
}

void PeerSet::advance(const Context& context) {
  for (auto due = m_due.begin(); due != m_due.end() && due->first <= context.now; ++due)
    touch(m_entries.at(due->second));
  // What a peer does touches no other.
  for (PeerEntry* entry : m_touched) {
    entry->machine.advance(context);
    set_due(entry->machine.config().id, *entry, entry->machine.next_deadline(context.now));
    entry->m_touched = false;
  }
  m_touched.clear();
}

std::optional<TimePoint> PeerSet::next_deadline(TimePoint now) const {
  std::optional<TimePoint> next;
  if (!m_due.empty()) next = m_due.begin()->first;
  for (const PeerEntry* entry : m_touched)
    if (const auto at = entry->machine.next_deadline(now); at && (!next || *at < *next)) next = at;
  return next;
}

// In the node that it has, where it has one: this is on the way of every batch of packets.
void PeerSet::set_due(PeerId id, PeerEntry& entry, std::optional<TimePoint> due) {
  if (due == entry.m_due) return;
  auto node = entry.m_due ? m_due.extract({*entry.m_due, id}) : decltype(m_due)::node_type();
  entry.m_due = due;
  if (!due) return;
  if (node.empty()) {
    m_due.emplace(*due, id);
    return;
  }
  node.value() = {*due, id};
  m_due.insert(std::move(node));
}

}  // namespace quipu::protocol
