// SPDX-License-Identifier: Apache-2.0
// Which trusted nodes a block is relayed over: the cheapest path of the link states, where a link costs the more the
// less key it has; or as many paths as the pool is configured for, none of whose nodes is on two; or the configured
// one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kms/relay/link_map.h"
#include "kms/relay/link_states.h"
#include "kms/site.h"

namespace quipu::kms {

// Blocks are as long as a sixteenth of the poorest link on their way, but within these bounds. Octets, whole slots. The
// longest one takes the slots of one lease, of which every hop has to make some durable at both its ends.
inline constexpr std::uint32_t kLeastRelayedBlock = 1'024;
inline constexpr std::uint32_t kMostRelayedBlock = wire::kMaxRelayedBlock;
// How long a link where a relayed block failed is the last choice.
inline constexpr Duration kAvoidFailed = std::chrono::seconds(10);
// Between two searches for one destination, for each origin of a link state and each destination. A search takes a
// fraction of that for each origin, so all of them leave time for the rest, whatever a neighbour tells.
inline constexpr Duration kSearchInterval = std::chrono::milliseconds(2);

struct Route {
  std::vector<RelayPath> paths;  // one for each share of a block: no node but the destination is on two
  std::uint64_t octets = 0;      // of key that the link with the least has
  bool simulated = false;        // some of the key is
  bool configured = false;

  std::uint32_t block_size() const;
};

class Routes {
 public:
  Routes(const Site& site, const LinkStates& states) : m_site(site), m_states(states) {}

  struct Found {
    std::optional<Route> route;  // empty when there are not as many paths as there shall be
    std::size_t paths = 0;  // with enough key on every link that there are; no more are looked for than there shall be
  };

  // To the KME of a pool that is fed by relay. Searched for again only when a link state or what is avoided has
  // changed, and when the last search is long enough ago: until then it may have links that are gone. The reference is
  // good until the next call.
  const Found& find(const PeerConfig& peer) const;
  // When find() searches again for that KME: it has changed since, or was not asked for yet. Else empty.
  std::optional<TimePoint> next_search(const KmeId& destination) const;
  // As its first end says of it. Empty when there is no such link, or not enough key.
  const wire::Neighbour* link(const KmeId& from, const KmeId& to) const;
  // In words, why there are not as many paths to that KME as there shall be: what is wrong with the first link or node
  // of the configured path, or of those that lack least. Takes as long as a search, and is not remembered.
  std::string missing(const PeerConfig& peer) const;
  // A relayed block failed on the link from one to the other.
  void avoid(const KmeId& from, const KmeId& to);

 private:
  using Link = std::pair<KmeId, KmeId>;

  struct Remembered {
    Found found;
    TimePoint searched;
    std::uint64_t version = 0;  // of the link states
    TimePoint until;            // a link is no longer avoided
  };

  Found search(const PeerConfig& peer) const;
  std::vector<RelayPath> configured(const KmeId& destination) const;
  // As its first end says of it, whether or not it can be used. Empty when that says nothing.
  const wire::Neighbour* told(const KmeId& from, const KmeId& to) const;
  // Why no key can be relayed over that link. Offered: in the link state of that end.
  enum class Fault : std::uint8_t {
    none,
    unheard,  // its first end; end_unheard: its second
    end_unheard,
    untrusted,
    absent,
    not_offered,  // by its first end; end_not_offering: by its second
    end_not_offering,
    down,
    poor,
  };

  Fault fault(const KmeId& from, const KmeId& to) const;
  std::string words(Fault fault, const KmeId& from, const KmeId& to) const;
  std::string first_fault(const std::vector<RelayPath>& paths) const;
  std::vector<RelayPath> imagined(const KmeId& destination, std::size_t count) const;
  bool is_trusted(const KmeId& node) const;
  std::uint64_t cost(const KmeId& from, const wire::Neighbour& to) const;
  std::vector<RelayPath> cheapest(const KmeId& destination, std::size_t count) const;
  // Adds a path to the route; false when some link of it cannot be used.
  bool add(Route& route, const RelayPath& path) const;

  const Site& m_site;
  const LinkStates& m_states;
  std::map<Link, TimePoint> m_avoided;  // until then
  mutable std::map<KmeId, Remembered> m_found;
};

}  // namespace quipu::kms
