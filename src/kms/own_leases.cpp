// SPDX-License-Identifier: Apache-2.0
#include "kms/own_leases.h"

#include <algorithm>

namespace quipu::kms {
namespace {

constexpr std::size_t kLeasesAhead = 2;
// Not acknowledged yet, with those that a demand forces beyond the two ahead of need.
constexpr std::ptrdiff_t kMaxPending = 4;
// With rests that are too short for what is asked for.
constexpr std::size_t kMaxWithRests = 16;
static_assert(kMaxWithRests <= wire::kMaxPadParts);  // whatever is ready, one pad can be made of it
constexpr std::uint64_t kStockFraction = 16;
// So that a small stock still serves more than one key per lease.
constexpr std::uint64_t kLeastSlots = 4;

}  // namespace

std::uint64_t OwnLeases::ready_slots() const {
  std::uint64_t slots = 0;
  for (const Lease& lease : m_leases) {
    if (!lease.acknowledged || lease.finished) continue;
    slots += lease.left();
  }
  return slots;
}

std::uint32_t OwnLeases::obtainable(const Demand& demand, bool with_pending) const {
  std::uint32_t keys = 0;
  for (const Lease& lease : m_leases)
    if (!lease.finished && (lease.acknowledged || with_pending)) keys += lease.left() / demand.slots_per_key();
  return keys;
}

bool OwnLeases::could_meet(const Demand& demand) const {
  const std::uint32_t keys = obtainable(demand, true);
  if (keys >= demand.number) return true;
  return m_pool.keys(demand.slots_per_key()) >= demand.number - keys;
}

std::optional<std::vector<CarvedKey>> OwnLeases::carve(const Demand& demand) {
  if (obtainable(demand, false) < demand.number) return std::nullopt;
  std::vector<CarvedKey> carved;
  for (Lease& lease : m_leases) {
    if (!lease.acknowledged || lease.finished) continue;
    while (carved.size() < demand.number && lease.left() >= demand.slots_per_key())
      carved.push_back(carve_one(lease, demand));
  }
  return carved;
}

SecretBytes OwnLeases::take_slots(Lease& lease, std::uint32_t slots) {
  const MutableBytes octets =
      lease.keys.mutable_view().subspan(std::size_t{lease.next} * kSlotSize, std::size_t{slots} * kSlotSize);
  SecretBytes taken = SecretBytes::copy_of(octets);
  wipe(octets.data(), octets.size());
  lease.next += slots;
  m_used_octets += taken.size();
  lease.finished = lease.left() == 0;
  return taken;
}

CarvedKey OwnLeases::carve_one(Lease& lease, const Demand& demand) {
  const std::uint32_t slots = demand.slots_per_key();
  CarvedKey key;
  key.lease = lease.id;
  key.slot = static_cast<std::uint16_t>(lease.next);
  key.slots = static_cast<std::uint16_t>(slots);
  key.key_id = lease.key_ids[lease.next];
  key.key = take_slots(lease, slots);
  lease.use.delivered += key.key.size();
  if (const std::size_t size = demand.size_bits / 8; size != key.key.size())
    key.key = SecretBytes::copy_of(key.key.view().first(size));
  return key;
}

std::optional<CarvedPad> OwnLeases::carve_pad(std::uint32_t slots) {
  std::vector<std::pair<Lease*, std::uint32_t>> from;
  std::uint32_t missing = slots;
  for (Lease& lease : m_leases) {
    if (!lease.acknowledged || lease.finished || missing == 0) continue;
    from.emplace_back(&lease, std::min(missing, lease.left()));
    missing -= from.back().second;
  }
  if (missing != 0) return std::nullopt;
  QUIPU_ASSERT(from.size() <= wire::kMaxPadParts);
  CarvedPad pad{{}, SecretBytes(std::size_t{slots} * kSlotSize)};
  ByteWriter writer(pad.octets.mutable_view());
  for (const auto& [lease, part] : from) {
    pad.parts.push_back({lease->id, static_cast<std::uint16_t>(lease->next), static_cast<std::uint16_t>(part)});
    writer.bytes(take_slots(*lease, part).view());
    lease->use.consumed += std::uint64_t{part} * kSlotSize;
  }
  return pad;
}

void OwnLeases::keep_open(const std::vector<CarvedKey>& keys) {
  for (const CarvedKey& key : keys) {
    Lease* lease = find(key.lease);
    if (lease == nullptr) continue;
    ++lease->kept_open;
    lease->use.delivered -= std::uint64_t{key.slots} * kSlotSize;
  }
}

bool OwnLeases::are_open(const std::vector<CarvedKey>& keys) const {
  return std::ranges::all_of(
      keys, [&](const CarvedKey& key) { return std::ranges::find(m_leases, key.lease, &Lease::id) != m_leases.end(); });
}

void OwnLeases::release(const std::vector<CarvedKey>& keys, bool delivered) {
  for (const CarvedKey& key : keys) {
    Lease* lease = find(key.lease);
    if (lease == nullptr) continue;
    --lease->kept_open;
    if (delivered) lease->use.delivered += std::uint64_t{key.slots} * kSlotSize;
  }
}

std::size_t OwnLeases::count_for(std::uint32_t slots_per_key) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(m_leases, [&](const Lease& l) { return !l.finished && l.left() >= slots_per_key; }));
}

std::uint32_t OwnLeases::default_slots() const {
  return Demand{1, m_site.config.limits.key_size_bits}.slots_per_key();
}

std::uint32_t OwnLeases::ahead_slots() const {
  const std::uint64_t stock = m_pool.key_octets() / kSlotSize;
  const std::uint64_t least = std::max<std::uint64_t>(kLeastSlots, default_slots());
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(std::max(stock / kStockFraction, least), kMaxLeaseSlots));
}

// Rests serve smaller keys, so they are kept while there is room for them; then the shortest goes.
bool OwnLeases::make_room(std::uint32_t slots) {
  if (count_for(1) < kMaxWithRests) return true;
  Lease* shortest = nullptr;
  for (Lease& lease : m_leases)
    if (lease.acknowledged && !lease.finished && lease.left() < slots &&
        (shortest == nullptr || lease.left() < shortest->left()))
      shortest = &lease;
  if (shortest != nullptr) shortest->finished = true;
  return shortest != nullptr;
}

Result<void> OwnLeases::refill(const std::optional<Demand>& waiting) {
  if (!m_link.up()) return {};
  const auto pending = std::ranges::count_if(m_leases, [](const Lease& lease) { return !lease.acknowledged; });
  // What all leases together cannot meet needs another, however many rests there are.
  if (waiting && obtainable(*waiting, true) < waiting->number && pending < kMaxPending &&
      m_pool.keys(waiting->slots_per_key()) != 0 && make_room(UINT32_MAX)) {
    const std::uint32_t missing = waiting->number - obtainable(*waiting, true);
    QUIPU_TRY_ASSIGN(const bool taken,
                     take(waiting->slots_per_key(), std::max(missing, ahead_slots() / waiting->slots_per_key())));
    if (!taken) return {};
  }
  const std::uint32_t usual = default_slots();
  while (count_for(usual) < kLeasesAhead && m_pool.keys(usual) != 0 && make_room(usual)) {
    QUIPU_TRY_ASSIGN(const bool taken, take(usual, ahead_slots() / usual));
    if (!taken) return {};
  }
  return {};
}

Result<bool> OwnLeases::take(std::uint32_t slots_per_key, std::uint32_t number) {
  LeaseRecord record;
  record.extents =
      m_pool.choose(slots_per_key, std::min(number, kMaxLeaseSlots / slots_per_key), m_site.config.id < m_pool.peer());
  QUIPU_ASSERT(!record.extents.empty());  // whoever asks has looked
  record.id = LeaseId(m_site.random_uuid());
  record.holder_instance = m_site.instance;
  const std::uint64_t taken = record.octets() / m_pool.min_sources() / kSlotSize;
  for (std::uint64_t slot = 0; slot < taken; ++slot)
    record.key_ids.push_back(m_site.random_uuid());
  Lease lease;
  lease.id = record.id;
  lease.key_ids = record.key_ids;
  QUIPU_TRY_ASSIGN(auto keys, m_pool.read(record));
  if (!keys) return false;
  lease.keys = *std::move(keys);
  m_pool.add_lease(std::move(record));
  QUIPU_TRY(m_pool.commit());
  m_leases.push_back(std::move(lease));
  ask(m_leases.back());
  return true;
}

void OwnLeases::ask(const Lease& lease) {
  const LeaseRecord& record = *m_pool.find(lease.id);
  m_link.request(wire::Lease{{}, record.id, m_site.instance, record.extents, record.key_ids}, LeaseSent{record.id});
}

void OwnLeases::repeat() {
  for (const Lease& lease : m_leases)
    if (!lease.acknowledged) ask(lease);
}

OwnLeases::Lease* OwnLeases::find(const LeaseId& id) {
  const auto found = std::ranges::find(m_leases, id, &Lease::id);
  return found == m_leases.end() ? nullptr : &*found;
}

bool OwnLeases::is_pending(const LeaseId& id) const {
  const auto found = std::ranges::find(m_leases, id, &Lease::id);
  return found != m_leases.end() && !found->acknowledged;
}

void OwnLeases::give_way(const LeaseId& id) {
  QUIPU_ASSERT(is_pending(id));
  m_pool.cancel_lease(id);
  m_leases.remove_if([&](const Lease& lease) { return lease.id == id; });
}

void OwnLeases::give_way(const BlockId& block, const RangeSet& spent) {
  const auto is_spent = [&](const Extent& extent) { return extent.block == block && spent.overlaps(extent.range); };
  for (const LeaseId& id : m_pool.leases_on(block))
    if (is_pending(id) && std::ranges::any_of(m_pool.find(id)->extents, is_spent)) give_way(id);
}

Result<void> OwnLeases::receive(const wire::Open& message) {
  const LeaseRecord* record = m_pool.find(message.lease);
  const auto refuse = [&](wire::RefusalReason reason) { m_link.send(wire::Refused{message.number, reason}); };
  if (record == nullptr || record->holder != Holder::us) {
    refuse(wire::RefusalReason::no_lease);
    return {};
  }
  if (m_pool.peer_instance() != message.instance ||
      record->opener_instance.value_or(message.instance) != message.instance) {
    refuse(wire::RefusalReason::instance);
    return {};
  }
  if (!record->opener_instance) m_pool.set_opener(message.lease, message.instance);
  QUIPU_TRY(m_pool.commit());
  acknowledged(message.lease);  // whoever opened it has it
  m_link.send(wire::Ack{message.number});
  return {};
}

void OwnLeases::acknowledged(const LeaseId& id) {
  if (Lease* lease = find(id)) lease->acknowledged = true;
}

Result<void> OwnLeases::refused(const LeaseId& id, wire::RefusalReason reason) {
  if (!is_pending(id)) return {};  // it has given way already
  if (reason == wire::RefusalReason::full) {
    give_way(id);
  } else {
    // The inventories agreed and no request crossed, yet the peer knows better: what it will not share is not used.
    m_site.report(LogLevel::warning, "lease_refused", "the peer refused a lease; its slots are burnt",
                  {{"peer", m_pool.peer().value()}, {"lease", id.value().text()}});
    burn(id);
  }
  return m_pool.commit();
}

void OwnLeases::close(std::list<Lease>::iterator lease) {
  m_pool.close_here(lease->id, lease->use);
  m_leases.erase(lease);
}

void OwnLeases::burn(const LeaseId& id) {
  const auto found = std::ranges::find(m_leases, id, &Lease::id);
  if (found != m_leases.end()) close(found);
}

void OwnLeases::burn_all() {
  while (!m_leases.empty())
    close(m_leases.begin());
}

Result<void> OwnLeases::close_finished() {
  for (auto it = m_leases.begin(); it != m_leases.end();) {
    const auto lease = it++;
    if (lease->finished && lease->kept_open == 0) close(lease);
  }
  return m_pool.commit();
}

}  // namespace quipu::kms
