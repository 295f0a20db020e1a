// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/books_watch.h"

#include <gtest/gtest.h>

namespace quipu::kms::sim {
namespace {

// What has come since.
Books operator-(const Books& now, const Books& before) {
  Books out;
  out.delivered = now.delivered - before.delivered;
  out.consumed = now.consumed - before.consumed;
  out.burnt = now.burnt - before.burnt;
  out.expired = now.expired - before.expired;
  return out;
}

std::uint64_t whole_slots(std::size_t octets) {
  return (octets + kSlotSize - 1) / kSlotSize * kSlotSize;
}

template <class Key>
std::uint64_t sum(const std::map<Key, std::uint64_t>& octets) {
  std::uint64_t all = 0;
  for (const auto& [key, each] : octets)
    all += each;
  return all;
}

}  // namespace

BooksWatch::~BooksWatch() {
  for (const std::string& violation : m_violations)
    ADD_FAILURE() << violation;
}

void BooksWatch::expect(bool kept, const std::string& rule, const KmeId& pool) {
  if (!kept) m_violations.push_back("books of the pool with " + pool.value() + ": " + rule);
}

void BooksWatch::started(const AllBooks& before, const AllBooks& now) {
  for (const auto& [pool, books] : before) {
    Books expected = books;
    expected.burnt += std::exchange(expected.leased, 0);
    const Books& found = now.at(pool);
    const bool kept = found.delivered == expected.delivered && found.consumed == expected.consumed &&
                      found.burnt == expected.burnt && found.expired == expected.expired && found.leased == 0;
    expect(kept, "a start has to burn what it finds open, and nothing else", pool);
  }
  m_leases.clear();
  m_lease_of.clear();
  m_closed.clear();
  m_checked = m_now = now;
}

void BooksWatch::committed(const Transaction& transaction) {
  for (const Change& change : transaction.changes)
    std::visit([&](const auto& each) { see(each, transaction.pool); }, change);
}

void BooksWatch::see(const AddLease& change, const KmeId& pool) {
  const LeaseRecord& record = change.lease;
  Lease& lease = m_leases[record.id];
  lease.pool = pool;
  lease.holder = record.holder;
  lease.octets = record.key_octets();
  lease.sources = record.octets() / record.key_octets();
  for (const Uuid& id : record.key_ids)
    m_lease_of[id] = record.id;
}

void BooksWatch::see(const SetLease& change, const KmeId& pool) {
  const auto lease = m_leases.find(change.id);
  if (lease == m_leases.end() || !change.closed_here || std::exchange(lease->second.closed, true)) return;
  m_closed[pool].push_back(change.id);
}

void BooksWatch::see(const Books& change, const KmeId& pool) {
  m_now[pool] = change;
}

void BooksWatch::handed_out(const KeyId& id, std::size_t octets) {
  const auto uuid = Uuid::parse(id.value());
  const auto lease = uuid ? m_lease_of.find(*uuid) : m_lease_of.end();
  if (lease == m_lease_of.end()) return;
  Lease& of = m_leases.at(lease->second);
  const bool is_first = of.handed_out.insert_or_assign(*uuid, whole_slots(octets)).second;
  expect(!of.checked || !is_first, "key " + id.value() + " left this site after its lease was closed", of.pool);
}

void BooksWatch::sent(const SecretBytes& message) {
  pads(message, Holder::us);
}

void BooksWatch::received(const SecretBytes& message) {
  pads(message, Holder::peer);
  if (static_cast<wire::MessageType>(message.view()[0]) != wire::MessageType::binding) return;
  const auto decoded = wire::decode(message.view());
  const auto* binding = decoded ? std::get_if<wire::Binding>(&*decoded) : nullptr;
  if (binding == nullptr) return;
  if (const auto lease = m_leases.find(binding->lease); lease != m_leases.end())
    lease->second.bound[binding->slot] = std::uint64_t{binding->slots} * kSlotSize;
}

void BooksWatch::pads(const SecretBytes& message, Holder holder) {
  const auto type = static_cast<wire::MessageType>(message.view()[0]);
  if (type != wire::MessageType::relay_hop && type != wire::MessageType::key_transfer) return;
  const auto decoded = wire::decode(message.view());
  if (!decoded) return;
  const auto* hop = std::get_if<wire::RelayHop>(&*decoded);
  for (const wire::PadPart& part : hop != nullptr ? hop->pad : std::get<wire::KeyTransfer>(*decoded).pad)
    if (const auto lease = m_leases.find(part.lease); lease != m_leases.end() && lease->second.holder == holder)
      lease->second.pads += std::uint64_t{part.slots} * kSlotSize;
}

// The holder knows all. The opener may have burnt what it was told of: pads that it did not open, keys that no slave
// could fetch any more.
bool BooksWatch::is_usual(const Books& delta, const std::vector<const Lease*>& closed) {
  std::uint64_t octets = 0;
  std::uint64_t delivered = 0;
  std::uint64_t sent = 0;
  std::uint64_t opened = 0;
  std::uint64_t unfetched = 0;
  for (const Lease* lease : closed) {
    const std::uint64_t handed_out = sum(lease->handed_out);
    octets += lease->octets * lease->sources;
    delivered += handed_out * lease->sources;
    (lease->holder == Holder::us ? sent : opened) += lease->pads * lease->sources;
    if (lease->holder == Holder::peer) unfetched += (sum(lease->bound) - handed_out) * lease->sources;
  }
  return delta.delivered == delivered && delta.consumed >= sent && delta.consumed <= sent + opened &&
         delta.expired <= unfetched && delta.delivered + delta.consumed + delta.expired + delta.burnt >= octets;
}

void BooksWatch::check() {
  for (const auto& [pool, books] : m_now) {
    if (books == m_checked[pool]) continue;
    std::vector<const Lease*> closed;
    for (const LeaseId& id : std::exchange(m_closed[pool], {})) {
      Lease& lease = m_leases.at(id);
      lease.checked = true;
      closed.push_back(&lease);
    }
    const Books delta = books - std::exchange(m_checked[pool], books);
    expect(is_usual(delta, closed),
           "closed leases are booked as " + std::to_string(delta.delivered) + " octets delivered, " +
               std::to_string(delta.consumed) + " consumed, " + std::to_string(delta.expired) + " expired and " +
               std::to_string(delta.burnt) + " burnt, which is not what left this site",
           pool);
  }
}

}  // namespace quipu::kms::sim
