// SPDX-License-Identifier: Apache-2.0
// Which link states each peer has yet to be sent. What waits is a name, so a peer that takes little is sent the newest
// state and no other; and no more goes out than the peer has shown that it takes: a Ping follows each batch, and the
// next one waits for its answer. So nobody's states can fill the KM link of others.
#pragma once

#include <map>
#include <set>

#include "kms/association.h"
#include "kms/relay/link_states.h"

namespace quipu::kms {

using Associations = std::map<KmeId, std::unique_ptr<Association>>;

class Flooding {
 public:
  // Both outlive it.
  Flooding(const LinkStates& states, const Associations& associations)
      : m_states(states), m_associations(associations) {}

  // The newest state of that origin is owed to all neighbours that are in contact, but to whoever told it.
  void flood(const KmeId& origin, const KmeId* but = nullptr);

  void owe(const KmeId& peer, const KmeId& origin) { m_owed[peer].origins.insert(origin); }

  // With a neighbour: it is owed all there is.
  void contact_made(const KmeId& peer);

  void contact_lost(const KmeId& peer) { m_owed.erase(peer); }

  // Sends what the links have room for.
  void progress(TimePoint now);

 private:
  struct Owed {
    std::set<KmeId> origins;
    KmeId last;  // sent: those after it come first, so that each has its turn
  };

  void send(Association& peer, Owed& owed, TimePoint now) const;

  const LinkStates& m_states;
  const Associations& m_associations;
  std::map<KmeId, Owed> m_owed;  // by neighbour, while in contact
};

}  // namespace quipu::kms
