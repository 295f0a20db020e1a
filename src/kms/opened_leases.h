// SPDX-License-Identifier: Apache-2.0
// The peer's leases as this end sees them: the same octets, opened by this run for delivery to slave SAEs. Nothing of a
// lease is delivered before the peer has acknowledged that it knows which run opened it (docs/km-link.md).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "kms/km_link.h"
#include "kms/own_leases.h"
#include "kms/pool.h"
#include "kms/unfetched_counts.h"

namespace quipu::kms {

class OpenedLeases {
 public:
  // All outlive it.
  OpenedLeases(Site& site, Pool& pool, KmLink& link, OwnLeases& own, UnfetchedCounts& counts)
      : m_site(site), m_pool(pool), m_link(link), m_own(own), m_counts(counts) {}

  // What dec_keys finds under a key_ID.
  enum class Finding {
    unknown,  // not announced, used up, or already fetched by this SAE
    waiting,  // announced; the binding or the acknowledgement is on its way
    refused,  // the caller was not named, or another SAE is its master
    granted,
  };

  Finding look_up(const Uuid& key_id, const SaeId& master, const SaeId& slave) const;

  // Whoever may fetch it, if anybody.
  bool knows(const Uuid& key_id) const { return m_places.contains(key_id); }

  // Handed out by its master, and not fetched by all its slaves here.
  bool is_bound(const Uuid& key_id) const;

  // The key, once for this slave: look_up() just granted it.
  SecretBytes fetch(const Uuid& key_id, const SaeId& slave);

  // Gives exactly one answer on the link, or none where material of the lease does not open: Pool::burn_damaged() and
  // the end of the connection have to follow. `brought`: a transfer has brought a key under one of its key_IDs.
  Result<void> receive(const wire::Lease& message, bool brought);
  // Answers to our requests to open.
  void open_acknowledged(const LeaseId& id);
  Result<void> open_refused(const LeaseId& id, wire::RefusalReason reason);
  // Asks again for what was not acknowledged before the connection broke.
  void repeat();

  // Ignores what is of no use any more. Slots of a key that nobody served here may fetch are given up.
  void bind(const wire::Binding& message);
  // Slots that the peer has used as key between the two KMEs. They are set aside for take_pad() at once, so that no
  // Close can burn them meanwhile. False, and nothing is set aside, when some of them are not open here or bound.
  bool bind_pad(const std::vector<wire::PadPart>& parts);

  enum class PadFinding {
    waiting,  // for the acknowledgement of an opening
    gone,     // some of it was burnt
    taken,
  };

  // The octets, once: after `taken` and `gone` they are wiped here.
  PadFinding take_pad(const std::vector<wire::PadPart>& parts, SecretBytes& octets);

  // Octets of key that SAEs got out of them in this run, and that went into pads.
  std::uint64_t used_octets() const { return m_used_octets; }

  // Nobody will take it.
  void give_up_pad(const std::vector<wire::PadPart>& parts);

  // No binding follows: what has none is burnt. Harmless when the lease is not open here.
  void holder_closed(const LeaseId& id);
  void holder_restarted();

  // What is used up or too old is closed, durably.
  Result<void> close_finished();

  std::optional<TimePoint> next_expiry() const { return m_next_expiry; }

  // Staged only: closed now, the rest burnt. Harmless when the lease is not open here.
  void burn(const LeaseId& id);
  void burn_all();
  // Staged only: leases of either holder on that block are burnt, or cancelled while they are pending; then it is
  // voided.
  void void_block(const BlockId& id);

 private:
  struct Bound {
    std::uint16_t slots = 0;
    std::uint32_t size_bits = 0;
    SaeId master;
    std::set<SaeId> named;   // nobody, when it is a pad of this KME
    std::set<SaeId> slaves;  // of those, who have not fetched it yet
    bool fetched = false;    // by one of them at least
    bool is_counted = false;
    TimePoint expires;
  };

  struct Lease {
    LeaseId id;
    std::uint64_t serial = 0;    // in order of age
    bool acknowledged = false;   // the peer knows that this run opened it
    bool holder_closed = false;  // no binding follows
    LeaseUse use;
    std::vector<Uuid> key_ids;
    SecretBytes keys;
    std::map<std::uint16_t, Bound> bound;  // by first slot; gone when all have fetched
    // Once the holder has closed it: of those, how many each master has. Nobody's are pads.
    std::map<SaeId, std::size_t> unfetched;
  };

  struct Place {
    LeaseId lease;
    std::uint16_t slot = 0;

    bool operator==(const Place&) const = default;
  };

  std::optional<wire::RefusalReason> judge(const wire::Lease& message, bool brought);
  bool has_room(std::size_t slots) const;
  bool make_room(std::size_t slots);
  // Which get no more bindings, the oldest first.
  std::vector<Lease*> closed_leases();
  std::size_t retire_all(Lease& lease, const SaeId& master);
  bool is_served_there(const SaeId& master) const;
  // Empty when it is not bound as a pad, or burnt.
  Bound* find_pad(const wire::PadPart& part);
  // Whether that slot may still be bound or fetched under its key_ID. A peer may announce the key_ID of a slot that is
  // used up once more, with another lease: then it is that one's.
  bool is_open(const Lease& lease, std::size_t slot) const;
  void close_slot(const Lease& lease, std::size_t slot);
  bool is_unbound(const Lease& lease, std::size_t begin, std::size_t end) const;
  void bind(Lease& lease, std::uint16_t slot, Bound bound);
  void forget(Lease& lease, std::size_t begin, std::size_t end);
  // False when material of its does not open.
  Result<bool> adopt(const wire::Lease& message);
  void ask(const LeaseId& id);
  void retire(Lease& lease, std::map<std::uint16_t, Bound>::iterator bound);
  void close(std::map<LeaseId, Lease>::iterator lease);
  void expire();

  Site& m_site;
  Pool& m_pool;
  KmLink& m_link;
  OwnLeases& m_own;
  UnfetchedCounts& m_counts;
  std::map<LeaseId, Lease> m_leases;
  std::uint64_t m_last_serial = 0;
  std::uint64_t m_used_octets = 0;
  std::unordered_map<Uuid, Place> m_places;  // every key_ID that may still be fetched
  std::optional<TimePoint> m_next_expiry;    // of the bindings; not after the earliest
};

}  // namespace quipu::kms
