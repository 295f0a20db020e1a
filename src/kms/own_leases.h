// SPDX-License-Identifier: Apache-2.0
// The leases that this run holds in one pool: taken ahead of need, acknowledged by the peer, carved into keys for
// master SAEs, closed when used up. Nothing of a lease is handed out before the peer's acknowledgement
// (docs/km-link.md).
#pragma once

#include <list>
#include <optional>
#include <vector>

#include "kms/key_order.h"
#include "kms/km_link.h"
#include "kms/pool.h"

namespace quipu::kms {

// Key for the two KMEs themselves, cut out of one lease or several.
struct CarvedPad {
  std::vector<wire::PadPart> parts;
  SecretBytes octets;
};

class OwnLeases {
 public:
  OwnLeases(Site& site, Pool& pool, KmLink& link) : m_site(site), m_pool(pool), m_link(link) {}

  // Slots that can be handed out now.
  std::uint64_t ready_slots() const;

  // Keys of that size that can be handed out now.
  std::uint64_t ready_keys(std::uint32_t size_bits) const { return obtainable({1, size_bits}, false); }

  // All the keys of a demand, taken out of the leases; empty when there are not enough. Never waits, never writes.
  std::optional<std::vector<CarvedKey>> carve(const Demand& demand);
  // So many slots; empty, and nothing is taken, when not as many are ready.
  std::optional<CarvedPad> carve_pad(std::uint32_t slots);

  // Octets of key that SAEs got out of them in this run, and that went into pads.
  std::uint64_t used_octets() const { return m_used_octets; }

  // Carved keys whose bindings have to wait: until release() they are not delivered, and their leases are not closed,
  // after which no binding may follow.
  void keep_open(const std::vector<CarvedKey>& keys);
  // False when one of their leases was burnt meanwhile: these keys can be fetched by nobody any more.
  bool are_open(const std::vector<CarvedKey>& keys) const;
  // They are bound now; or, when not `delivered`, burnt.
  void release(const std::vector<CarvedKey>& keys, bool delivered);
  // Whether a demand could be met once leases on their way and the stock are ours.
  bool could_meet(const Demand& demand) const;

  // Takes leases ahead of need, and for a demand that waits. Only in contact. To be called again when
  // Pool::burn_damaged() has burnt anything.
  Result<void> refill(const std::optional<Demand>& waiting);
  // Asks again for what was not acknowledged before the connection broke.
  void repeat();

  bool is_pending(const LeaseId& id) const;
  // A lease that is pending, and that the peer does not know or is refusing: its slots are free again. Staged only.
  void give_way(const LeaseId& id);
  // Likewise all over slots that the peer has spent.
  void give_way(const BlockId& block, const RangeSet& spent);
  // The peer told which run of it opened a lease of ours. Gives exactly one answer on the link.
  Result<void> receive(const wire::Open& message);
  // The peer has it durably.
  void acknowledged(const LeaseId& id);
  Result<void> refused(const LeaseId& id, wire::RefusalReason reason);

  // What is used up is closed, durably.
  Result<void> close_finished();
  // Staged only: closed now, the rest burnt. Harmless when the lease is not one of this run.
  void burn(const LeaseId& id);
  void burn_all();

 private:
  struct Lease {
    LeaseId id;
    bool acknowledged = false;
    bool finished = false;  // nothing more is handed out of it
    std::uint32_t next = 0;
    LeaseUse use;
    std::uint32_t kept_open = 0;  // keys that are not bound yet
    std::vector<Uuid> key_ids;
    SecretBytes keys;

    std::uint32_t left() const { return static_cast<std::uint32_t>(key_ids.size()) - next; }
  };

  Lease* find(const LeaseId& id);
  // The next slots of a lease, copied out and wiped there.
  SecretBytes take_slots(Lease& lease, std::uint32_t slots);
  CarvedKey carve_one(Lease& lease, const Demand& demand);
  std::uint32_t obtainable(const Demand& demand, bool with_pending) const;
  // Leases that can still give a key of so many slots.
  std::size_t count_for(std::uint32_t slots_per_key) const;
  std::uint32_t default_slots() const;
  // For another lease, if need be at the cost of the shortest one with less than so many slots.
  bool make_room(std::uint32_t slots);
  std::uint32_t ahead_slots() const;
  // Up to so many keys. False when material of theirs does not open.
  Result<bool> take(std::uint32_t slots_per_key, std::uint32_t number);
  void ask(const Lease& lease);
  void close(std::list<Lease>::iterator lease);

  Site& m_site;
  Pool& m_pool;
  KmLink& m_link;
  std::list<Lease> m_leases;  // in order of age
  std::uint64_t m_used_octets = 0;
};

}  // namespace quipu::kms
