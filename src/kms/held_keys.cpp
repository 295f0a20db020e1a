// SPDX-License-Identifier: Apache-2.0
#include "kms/held_keys.h"

#include <algorithm>

namespace quipu::kms {
namespace {

// In locked memory, of one peer.
constexpr std::size_t kMaxRoom = std::size_t{1} << 20;
// What a key costs besides its octets counts, too.
constexpr std::size_t kLeastRoom = 256;

std::size_t room_of(const HeldKeys::Key& key) {
  return std::max(key.octets.size(), kLeastRoom);
}

}  // namespace

HeldKeys::Finding HeldKeys::look_up(const Uuid& key_id, const SaeId& master, const SaeId& slave) const {
  const auto place = m_places.find(key_id);
  if (place == m_places.end()) return Finding::unknown;
  const Transfer& transfer = place->second->second;
  if (transfer.master != master || !transfer.named.contains(slave)) return Finding::refused;
  return transfer.keys.at(key_id).slaves.contains(slave) ? Finding::granted : Finding::unknown;
}

SecretBytes HeldKeys::fetch(const Uuid& key_id, const SaeId& slave) {
  const auto found = m_places.at(key_id);
  Transfer& transfer = found->second;
  const auto key = transfer.keys.find(key_id);
  const std::size_t taken = key->second.slaves.erase(slave);
  QUIPU_ASSERT(taken == 1);
  SecretBytes octets = SecretBytes::copy_of(key->second.octets.view());
  if (!key->second.slaves.empty()) return octets;
  erase_key(transfer, key);
  if (transfer.keys.empty()) erase(found);
  return octets;
}

void HeldKeys::erase_key(Transfer& transfer, std::map<Uuid, Key>::iterator key) {
  m_room -= room_of(key->second);
  m_masters.at(transfer.master).room -= room_of(key->second);
  if (transfer.is_counted) m_counts.remove(transfer.master);
  m_places.erase(key->first);
  transfer.keys.erase(key);
}

void HeldKeys::erase(Transfers::iterator found) {
  Transfer& transfer = found->second;
  while (!transfer.keys.empty())
    erase_key(transfer, transfer.keys.begin());
  m_serials.erase(transfer.id);
  m_masters.at(transfer.master).transfers.erase(found->first);
  m_transfers.erase(found);
}

void HeldKeys::erase(const wire::TransferId& id) {
  if (const auto found = m_serials.find(id); found != m_serials.end()) erase(m_transfers.find(found->second));
}

void HeldKeys::erase_all() {
  while (!m_transfers.empty())
    erase(m_transfers.begin());
}

// Slaves that never fetch must not stop the others.
std::optional<SaeId> HeldKeys::make_room(std::size_t wanted) {
  std::optional<SaeId> loser;
  while (m_room + wanted > kMaxRoom) {
    const auto most = std::ranges::max_element(m_masters, {}, [](const auto& each) { return each.second.room; });
    loser = most->first;
    erase(m_transfers.find(*most->second.transfers.begin()));
  }
  return loser;
}

std::optional<SaeId> HeldKeys::add(Transfer transfer) {
  std::size_t room = 0;
  for (const auto& [id, key] : transfer.keys)
    room += room_of(key);
  const std::optional<SaeId> loser = make_room(room);
  const auto added = m_transfers.emplace(++m_last_serial, std::move(transfer)).first;
  const Transfer& held = added->second;
  m_serials.emplace(held.id, added->first);
  OfMaster& master = m_masters[held.master];
  master.transfers.insert(added->first);
  master.room += room;
  m_room += room;
  for (const auto& [id, key] : held.keys) {
    m_places.emplace(id, added);
    if (held.is_counted) m_counts.add(held.master);
  }
  return loser;
}

void HeldKeys::expire(TimePoint now) {
  while (!m_transfers.empty() && m_transfers.begin()->second.expires <= now)
    erase(m_transfers.begin());
}

}  // namespace quipu::kms
