// SPDX-License-Identifier: Apache-2.0
// Which trusted nodes a block is relayed over: the cheapest path of the link states, where a link costs the more the
// less key it has; or the configured one.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kms/relay/link_states.h"
#include "kms/site.h"

namespace quipu::kms {

// Blocks are as long as a sixteenth of the path's poorest link, but within these bounds. Octets, whole slots. The
// longest one takes the slots of one lease, of which every hop has to make some durable at both its ends.
inline constexpr std::uint32_t kLeastRelayedBlock = 1'024;
inline constexpr std::uint32_t kMostRelayedBlock = wire::kMaxRelayedBlock;
// How long a link where a relayed block failed is the last choice.
inline constexpr Duration kAvoidFailed = std::chrono::seconds(10);

struct Route {
  std::vector<KmeId> path;   // after this KME; the last is the destination. At least one trusted node.
  std::uint64_t octets = 0;  // of key that the link with the least has
  bool simulated = false;    // some of that key is
  bool configured = false;

  std::uint32_t block_size() const;
};

class Routes {
 public:
  Routes(const Site& site, const LinkStates& states) : m_site(site), m_states(states) {}

  // nullptr when no path has enough key on every link. Searched for again only when a link state or what is avoided has
  // changed; the pointer is good until the next call.
  const Route* find(const KmeId& destination) const;
  // As its first end says of it. Empty when there is no such link, or not enough key.
  const wire::Neighbour* link(const KmeId& from, const KmeId& to) const;
  // A relayed block failed on the link from one to the other.
  void avoid(const KmeId& from, const KmeId& to);

 private:
  using Link = std::pair<KmeId, KmeId>;

  struct Found {
    std::optional<Route> route;
    std::uint64_t version = 0;  // of the link states
    TimePoint until;            // a link is no longer avoided
  };

  std::optional<Route> search(const KmeId& destination) const;
  bool is_trusted(const KmeId& node) const;
  std::uint64_t cost(const KmeId& from, const wire::Neighbour& to) const;
  std::vector<KmeId> cheapest(const KmeId& destination) const;
  std::optional<Route> describe(std::vector<KmeId> path, bool configured) const;

  const Site& m_site;
  const LinkStates& m_states;
  std::map<Link, TimePoint> m_avoided;  // until then
  mutable std::map<KmeId, Found> m_found;
};

}  // namespace quipu::kms
