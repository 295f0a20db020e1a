// SPDX-License-Identifier: Apache-2.0
// The source of one pool that is fed by relay: keeps its stock at the target by making random blocks and sending them
// over trusted nodes, in as many shares as the pool is configured for paths. Each block ends within kRelayTime as
// relayed, voided or failed, and is never sent again: the next try is another block over other paths, with fresh key.
// So no node ever gets a second share of a block, wherever its others go.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kms/relay/entropy.h"
#include "kms/relay/flooding.h"
#include "kms/relay/relay_status.h"
#include "kms/relay/routes.h"

namespace quipu::kms {

inline constexpr Duration kRelayTime = std::chrono::seconds(4);
// For a neighbour to answer a hop, and for key of its link to become free.
inline constexpr Duration kHopTime = std::chrono::seconds(1);

class RelaySource {
 public:
  // All outlive it. `entropy`: what blocks are made with besides the kernel's random octets; nullptr: nothing.
  RelaySource(Site& site, const PeerConfig& peer, const Associations& associations, Routes& routes, Entropy* entropy)
      : m_site(site), m_peer(peer), m_associations(associations), m_routes(routes), m_entropy(entropy) {}

  enum class Turn { idle, sent, lacks_entropy };

  // Sends one block, if the stock lacks one and key, paths and the entropy source allow it now.
  Turn take_turn();

  // Key of the first links for the block that it would send now: of those that lack it leases are asked for; one that
  // stays without is avoided.
  void look_for_key();

  // Each ignores blocks that are not this source's.
  void hop_answered(const RelayHopAnswered& answer);
  void failed(const RelayFailedReceived& news);
  void ended(const RelayEnded& end);
  void contact_lost(const KmeId& peer);

  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;

  void describe(RelayRouteStatus& status) const;

 private:
  // Of one share.
  struct Way {
    RelayPath path;
    bool answered = false;  // the first node has it
  };

  struct InFlight {
    std::vector<Way> ways;
    std::uint32_t octets = 0;
    TimePoint sent;

    // The way that begins with that node; nullptr when none does.
    Way* find(const KmeId& first);
    const Way* unanswered() const;

    TimePoint due() const { return sent + (unanswered() == nullptr ? kRelayTime : kHopTime); }
  };

  using Entry = std::map<BlockId, InFlight>::iterator;
  using Link = std::pair<KmeId, KmeId>;

  Association& far() const { return *m_associations.at(m_peer.id); }

  bool is_wanted() const;
  // For the next block; nullptr when none is wanted, or there is none. Good until the next call of Routes::find().
  const Route* wanted_route();
  // Idle when a first link lacks key.
  Turn send(const Route& route);

  bool has_entropy(std::size_t octets) const { return m_entropy == nullptr || m_entropy->has(octets); }

  SecretBytes make_share(std::size_t octets);
  // True when all first links have it.
  bool look_for_key(const Route& route);
  // One for each path.
  std::vector<CarvedPad> carve_pads(const Route& route, std::uint32_t slots);
  void send_share(const RelayPath& path, CarvedPad pad, ByteView share, wire::RelayHop hop) const;
  // For want of key of the links with these nodes; a link that stays without is avoided.
  void wait_for_key(const std::vector<KmeId>& lacking);
  std::vector<Link> all_links(const InFlight& block) const;
  void give_up(Entry entry, wire::RefusalReason reason, const std::vector<Link>& suspects);
  void back_off(wire::RefusalReason reason, const std::vector<Link>& suspects);

  Site& m_site;
  const PeerConfig& m_peer;
  const Associations& m_associations;
  Routes& m_routes;
  Entropy* m_entropy;

  std::map<BlockId, InFlight> m_in_flight;
  std::uint64_t m_in_flight_octets = 0;
  std::optional<std::pair<KmeId, TimePoint>> m_key_awaited;  // of the link with that node, until then
  TimePoint m_not_before;                                    // after a failure
  Duration m_pause{};
  bool m_failing = false;  // no block has arrived since the last failure
  std::uint64_t m_relayed = 0;
  std::uint64_t m_voided = 0;
  std::uint64_t m_failed = 0;
  std::string m_last_failure;
};

}  // namespace quipu::kms
