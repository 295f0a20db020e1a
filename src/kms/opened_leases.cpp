// SPDX-License-Identifier: Apache-2.0
#include "kms/opened_leases.h"

#include <algorithm>
#include <utility>

namespace quipu::kms {

OpenedLeases::Finding OpenedLeases::look_up(const Uuid& key_id, const SaeId& master, const SaeId& slave) const {
  const auto place = m_places.find(key_id);
  if (place == m_places.end()) return Finding::unknown;
  const Lease& lease = m_leases.at(place->second.lease);
  const auto bound = lease.bound.find(place->second.slot);
  if (bound == lease.bound.end()) return Finding::waiting;
  if (bound->second.master != master || !bound->second.named.contains(slave)) return Finding::refused;
  if (!bound->second.slaves.contains(slave)) return Finding::unknown;
  return lease.acknowledged ? Finding::granted : Finding::waiting;
}

bool OpenedLeases::is_bound(const Uuid& key_id) const {
  const auto place = m_places.find(key_id);
  return place != m_places.end() && m_leases.at(place->second.lease).bound.contains(place->second.slot);
}

SecretBytes OpenedLeases::fetch(const Uuid& key_id, const SaeId& slave) {
  const Place place = m_places.at(key_id);
  Lease& lease = m_leases.at(place.lease);
  const auto found = lease.bound.find(place.slot);
  Bound& bound = found->second;
  const std::size_t taken = bound.slaves.erase(slave);
  QUIPU_ASSERT(taken == 1 && lease.acknowledged);
  SecretBytes key =
      SecretBytes::copy_of(lease.keys.view().subspan(std::size_t{place.slot} * kSlotSize, bound.size_bits / 8));
  if (!std::exchange(bound.fetched, true)) {
    lease.use.delivered += std::uint64_t{bound.slots} * kSlotSize;
    m_used_octets += std::uint64_t{bound.slots} * kSlotSize;
  }
  if (bound.slaves.empty()) retire(lease, found);
  return key;
}

// Nobody fetches it any more: its octets and key_ID are forgotten.
void OpenedLeases::retire(Lease& lease, std::map<std::uint16_t, Bound>::iterator bound) {
  const auto [slot, key] = std::pair<std::size_t, const Bound&>(bound->first, bound->second);
  const MutableBytes octets = lease.keys.mutable_view().subspan(slot * kSlotSize, std::size_t{key.slots} * kSlotSize);
  wipe(octets.data(), octets.size());
  close_slot(lease, slot);
  if (key.is_counted) m_counts.remove(key.master);
  if (lease.holder_closed && --lease.unfetched.at(key.master) == 0) lease.unfetched.erase(key.master);
  lease.bound.erase(bound);
}

std::optional<wire::RefusalReason> OpenedLeases::judge(const wire::Lease& message, bool brought) {
  using enum wire::RefusalReason;
  if (m_pool.peer_instance() != message.instance) return instance;
  const std::set<Uuid> fresh(message.key_ids.begin(), message.key_ids.end());
  if (brought || fresh.size() != message.key_ids.size() ||
      std::ranges::any_of(fresh, [&](const Uuid& id) { return m_places.contains(id); }))
    return duplicate;
  if (!m_pool.is_usable(message.extents)) return no_block;
  if (!m_pool.is_combination(message.extents, message.key_ids.size())) return sources;
  std::vector<LeaseId> crossing;
  if (!m_pool.is_free(message.extents)) {
    const auto over = m_pool.leases_over(message.extents);
    if (!over || over->empty()) return taken;
    // Both ends asked for one range at once: the lower id's request stands. Ours is being refused there.
    const bool stands = m_pool.peer() < m_site.config.id &&
                        std::ranges::all_of(*over, [&](const LeaseId& id) { return m_own.is_pending(id); });
    if (!stands) return taken;
    crossing = *over;
  }
  if (!make_room(message.key_ids.size())) return full;
  for (const LeaseId& id : crossing)
    m_own.give_way(id);
  QUIPU_ASSERT(m_pool.is_free(message.extents));
  return std::nullopt;
}

Result<void> OpenedLeases::receive(const wire::Lease& message, bool brought) {
  if (const LeaseRecord* known = m_pool.find(message.id)) {
    // Asked again after contact: answered as before.
    const bool same = known->holder == Holder::peer && known->holder_instance == message.instance &&
                      known->extents == message.extents && known->key_ids == message.key_ids;
    if (same)
      m_link.send(wire::Ack{message.number});
    else
      m_link.send(wire::Refused{message.number, wire::RefusalReason::duplicate});
    return {};
  }
  if (const auto reason = judge(message, brought)) {
    QUIPU_TRY(m_pool.commit());
    if (*reason == wire::RefusalReason::duplicate)
      m_site.alarm("key_id_repeated", "the peer announced a key_ID twice; the lease was refused",
                   {{"peer", m_pool.peer().value()}, {"lease", message.id.value().text()}});
    m_link.send(wire::Refused{message.number, *reason});
    return {};
  }
  QUIPU_TRY_ASSIGN(const bool adopted, adopt(message));
  if (!adopted) return {};
  m_link.send(wire::Ack{message.number});
  ask(message.id);
  return {};
}

Result<bool> OpenedLeases::adopt(const wire::Lease& message) {
  LeaseRecord record;
  record.id = message.id;
  record.holder = Holder::peer;
  record.holder_instance = message.instance;
  record.opener_instance = m_site.instance;
  record.extents = message.extents;
  record.key_ids = message.key_ids;
  QUIPU_TRY_ASSIGN(auto keys, m_pool.read(record));
  if (!keys) return false;
  m_pool.add_lease(std::move(record));
  QUIPU_TRY(m_pool.commit());
  Lease& lease = m_leases[message.id];
  lease.id = message.id;
  lease.serial = ++m_last_serial;
  lease.key_ids = message.key_ids;
  lease.keys = *std::move(keys);
  for (std::size_t slot = 0; slot < message.key_ids.size(); ++slot)
    m_places[message.key_ids[slot]] = {message.id, static_cast<std::uint16_t>(slot)};
  return true;
}

void OpenedLeases::ask(const LeaseId& id) {
  m_link.request(wire::Open{{}, id, m_site.instance}, OpenSent{id});
}

void OpenedLeases::repeat() {
  for (const auto& [id, lease] : m_leases)
    if (!lease.acknowledged) ask(id);
}

void OpenedLeases::open_acknowledged(const LeaseId& id) {
  if (const auto found = m_leases.find(id); found != m_leases.end()) found->second.acknowledged = true;
}

Result<void> OpenedLeases::open_refused(const LeaseId& id, wire::RefusalReason /*reason*/) {
  m_site.report(LogLevel::warning, "open_refused", "the peer refused that its lease was opened; it is burnt",
                {{"peer", m_pool.peer().value()}, {"lease", id.value().text()}});
  burn(id);
  return m_pool.commit();
}

bool OpenedLeases::is_served_there(const SaeId& master) const {
  return std::ranges::any_of(m_site.config.peers, [&](const PeerConfig& peer) {
    return peer.id == m_pool.peer() && std::ranges::find(peer.saes, master) != peer.saes.end();
  });
}

bool OpenedLeases::is_open(const Lease& lease, std::size_t slot) const {
  const auto place = m_places.find(lease.key_ids[slot]);
  return place != m_places.end() && place->second == Place{lease.id, static_cast<std::uint16_t>(slot)};
}

void OpenedLeases::close_slot(const Lease& lease, std::size_t slot) {
  if (is_open(lease, slot)) m_places.erase(lease.key_ids[slot]);
}

// These slots will not be fetched: they are burnt when the lease is closed.
void OpenedLeases::forget(Lease& lease, std::size_t begin, std::size_t end) {
  const MutableBytes octets = lease.keys.mutable_view().subspan(begin * kSlotSize, (end - begin) * kSlotSize);
  wipe(octets.data(), octets.size());
  for (std::size_t slot = begin; slot < end; ++slot)
    close_slot(lease, slot);
}

void OpenedLeases::bind(const wire::Binding& message) {
  const auto found = m_leases.find(message.lease);
  if (found == m_leases.end() || found->second.holder_closed) return;
  Lease& lease = found->second;
  const std::size_t end = std::size_t{message.slot} + message.slots;
  if (end > lease.key_ids.size()) return;
  // Nobody else can fetch it here, and what is kept of a peer's words must not grow with their length.
  std::set<SaeId> served;
  for (const SaeId& slave : message.slaves)
    if (std::ranges::find(m_site.config.saes, slave) != m_site.config.saes.end()) served.insert(slave);
  if (!is_unbound(lease, message.slot, end)) return;
  if (served.empty() || !is_served_there(message.master)) return forget(lease, message.slot, end);
  Bound bound;
  bound.slots = message.slots;
  bound.size_bits = message.size_bits;
  bound.master = message.master;
  bound.named = served;
  bound.slaves = std::move(served);
  bound.is_counted = message.is_counted;
  bind(lease, message.slot, std::move(bound));
}

// Every slot serves one key.
bool OpenedLeases::is_unbound(const Lease& lease, std::size_t begin, std::size_t end) const {
  for (std::size_t slot = begin; slot < end; ++slot)
    if (!is_open(lease, slot) || lease.bound.contains(static_cast<std::uint16_t>(slot))) return false;
  return true;
}

void OpenedLeases::bind(Lease& lease, std::uint16_t slot, Bound bound) {
  for (std::size_t next = std::size_t{slot} + 1; next < std::size_t{slot} + bound.slots; ++next)
    close_slot(lease, next);
  bound.expires = m_site.now + m_site.config.limits.undelivered_ttl;
  if (!m_next_expiry) m_next_expiry = bound.expires;
  if (bound.is_counted) m_counts.add(bound.master);
  lease.bound.emplace(slot, std::move(bound));
}

void OpenedLeases::holder_closed(const LeaseId& id) {
  const auto found = m_leases.find(id);
  if (found == m_leases.end() || found->second.holder_closed) return;
  Lease& lease = found->second;
  lease.holder_closed = true;
  for (const auto& [slot, bound] : lease.bound)
    ++lease.unfetched[bound.master];
  for (std::size_t slot = 0; slot < lease.key_ids.size(); ++slot) {
    if (!is_open(lease, slot) || lease.bound.contains(static_cast<std::uint16_t>(slot))) continue;
    forget(lease, slot, slot + 1);
  }
}

void OpenedLeases::holder_restarted() {
  for (const auto& [id, lease] : m_leases)
    holder_closed(id);
}

void OpenedLeases::expire() {
  if (!m_next_expiry || *m_next_expiry > m_site.now) return;
  m_next_expiry.reset();
  for (auto& [id, lease] : m_leases) {
    for (auto it = lease.bound.begin(); it != lease.bound.end();) {
      const auto bound = it++;
      const TimePoint expires = bound->second.expires;
      if (expires <= m_site.now) {
        if (!bound->second.fetched) lease.use.expired += std::uint64_t{bound->second.slots} * kSlotSize;
        retire(lease, bound);
      } else if (!m_next_expiry || expires < *m_next_expiry) {
        m_next_expiry = expires;
      }
    }
  }
}

Result<void> OpenedLeases::close_finished() {
  expire();
  for (auto it = m_leases.begin(); it != m_leases.end();) {
    const auto lease = it++;
    if (lease->second.holder_closed && lease->second.bound.empty()) close(lease);
  }
  return m_pool.commit();
}

void OpenedLeases::close(std::map<LeaseId, Lease>::iterator lease) {
  for (std::size_t slot = 0; slot < lease->second.key_ids.size(); ++slot)
    close_slot(lease->second, slot);
  for (const auto& [slot, bound] : lease->second.bound)
    if (bound.is_counted) m_counts.remove(bound.master);
  m_pool.close_here(lease->first, lease->second.use);
  m_leases.erase(lease);
}

void OpenedLeases::burn(const LeaseId& id) {
  if (const auto found = m_leases.find(id); found != m_leases.end()) close(found);
}

void OpenedLeases::burn_all() {
  while (!m_leases.empty())
    close(m_leases.begin());
}

void OpenedLeases::void_block(const BlockId& id) {
  for (const LeaseId& lease : m_pool.leases_on(id)) {
    if (m_own.is_pending(lease)) m_own.give_way(lease);  // its slots of other blocks may be free at the peer
    m_own.burn(lease);
    burn(lease);
  }
  if (m_pool.find(id) != nullptr) m_pool.void_block(id);  // else those leases were the last of it
}

}  // namespace quipu::kms
