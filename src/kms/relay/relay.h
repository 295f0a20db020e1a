// SPDX-License-Identifier: Apache-2.0
// Trusted-node relay: pools with KMEs to which there is no QKD link, fed by blocks that other KMEs pass on, each hop
// under key of its own link (docs/km-link.md). Keeps the map of the network, and hands events to the part they are for.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "kms/relay/relay_source.h"
#include "kms/relay/relay_transit.h"

namespace quipu::kms {

class Relay {
 public:
  // All outlive it.
  Relay(Site& site, const Associations& associations);

  // What happened in this call; then whatever can go on.
  Result<void> handle(std::vector<RelayEvent> events);
  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;

  // The configured source; nullptr where there is none.
  Entropy* entropy() { return m_entropy ? &*m_entropy : nullptr; }

  const Entropy* entropy() const { return m_entropy ? &*m_entropy : nullptr; }

  RelayStatus status() const;

 private:
  Result<void> on(const ContactMade& event);
  Result<void> on(const ContactLost& event);
  Result<void> on(const LinkStateReceived& event);
  Result<void> on(RelayHopReceived& event);
  Result<void> on(const RelayHopAnswered& event);
  Result<void> on(const RelayFailedReceived& event);
  Result<void> on(const RelayEnded& event);

  // Whether this KME has a part in relaying at all: if not, it floods nothing.
  bool takes_part() const;
  // A QKD link joins the two: only such peers are told link states, and heard.
  bool is_neighbour(const KmeId& peer) const;
  std::vector<wire::Neighbour> neighbours() const;
  bool differs_much(const std::vector<wire::Neighbour>& now) const;
  // At once, or when the last time is long enough ago.
  void publish();
  // Of all sources, as far as they can be made now.
  void make_blocks();
  RelayRouteStatus describe(const PeerConfig& peer) const;

  Site& m_site;
  const Associations& m_associations;
  LinkStates m_states;
  Flooding m_flooding;
  Routes m_routes;
  std::optional<Entropy> m_entropy;
  std::map<KmeId, RelaySource> m_sources;  // by destination
  std::deque<RelaySource*> m_turns;        // the first is whose turn it is
  RelayTransit m_transit;
  std::optional<TimePoint> m_next_look;  // at the own stocks; empty when it takes no part
  std::optional<TimePoint> m_published;  // last
  bool m_told_forged = false;            // in this run
  bool m_publish_again = false;          // once that is kStateInterval ago
};

}  // namespace quipu::kms
