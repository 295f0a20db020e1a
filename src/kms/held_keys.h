// SPDX-License-Identifier: Apache-2.0
// Keys that a peer has transferred and that wait here for their slaves, in locked memory. What there is room for is
// shared by the peer's masters: whoever has most of it loses the oldest, so that none pushes out another's.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "kms/opened_leases.h"

namespace quipu::kms {

class HeldKeys {
 public:
  struct Key {
    SecretBytes octets;
    std::set<SaeId> slaves;  // who have not fetched it yet
  };

  // One transfer.
  struct Transfer {
    wire::TransferId id;
    SaeId master;
    std::set<SaeId> named;    // its slaves that are served here
    bool is_counted = false;  // the peer limits the master
    TimePoint expires;
    std::map<Uuid, Key> keys;  // not fetched by all of them
  };

  // `counts` outlives it.
  explicit HeldKeys(UnfetchedCounts& counts) : m_counts(counts) {}

  using Finding = OpenedLeases::Finding;

  Finding look_up(const Uuid& key_id, const SaeId& master, const SaeId& slave) const;
  // The key, once for this slave: look_up() just granted it.
  SecretBytes fetch(const Uuid& key_id, const SaeId& slave);

  bool contains(const Uuid& key_id) const { return m_places.contains(key_id); }

  bool contains(const wire::TransferId& id) const { return m_serials.contains(id); }

  // None of it is here. Returns a master that has lost keys for it, if one has. Expires not before those that are here.
  std::optional<SaeId> add(Transfer transfer);
  // Harmless when it is not here.
  void erase(const wire::TransferId& id);
  void erase_all();
  void expire(TimePoint now);

  std::optional<TimePoint> next_expiry() const {
    return m_transfers.empty() ? std::nullopt : std::optional(m_transfers.begin()->second.expires);
  }

 private:
  using Transfers = std::map<std::uint64_t, Transfer>;  // by a serial number, so in order of arrival and of `expires`

  struct OfMaster {
    std::set<std::uint64_t> transfers;
    std::size_t room = 0;
  };

  void erase(Transfers::iterator transfer);
  void erase_key(Transfer& transfer, std::map<Uuid, Key>::iterator key);
  std::optional<SaeId> make_room(std::size_t wanted);

  UnfetchedCounts& m_counts;
  Transfers m_transfers;
  std::uint64_t m_last_serial = 0;
  std::map<wire::TransferId, std::uint64_t> m_serials;
  std::map<SaeId, OfMaster> m_masters;
  std::unordered_map<Uuid, Transfers::iterator> m_places;  // of each key
  std::size_t m_room = 0;                                  // that is taken
};

}  // namespace quipu::kms
