// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/relay.h"

#include <algorithm>
#include <bit>

namespace quipu::kms {
namespace {

// How often the stocks are looked at, to tell the others when one has changed much.
constexpr Duration kLookInterval = std::chrono::seconds(1);
// Without a block: links with little key have none for a block now and then.
constexpr Duration kStarvedAfter = std::chrono::seconds(10);

// Equal for stocks that are not worth a message: each is twice the one before.
int magnitude(std::uint64_t octets) {
  return static_cast<int>(std::bit_width(octets / kLeastRelayedBlock));
}

}  // namespace

Relay::Relay(Site& site, const Associations& associations)
    : m_site(site),
      m_associations(associations),
      m_states(site.config.id),
      m_flooding(m_states, associations),
      m_routes(site, m_states),
      m_transit(site, associations) {
  if (site.config.relay.entropy_source) m_entropy.emplace(site);
  for (const PeerConfig& peer : site.config.peers)
    if (peer.relay_target_octets != 0 && site.config.id < peer.id)
      m_turns.push_back(&m_sources.try_emplace(peer.id, site, peer, associations, m_routes, entropy()).first->second);
  if (takes_part()) publish();
}

bool Relay::takes_part() const {
  return m_site.config.relay.trusted_node ||
         std::ranges::any_of(m_site.config.peers, [](const PeerConfig& peer) { return peer.relay_target_octets != 0; });
}

bool Relay::is_neighbour(const KmeId& peer) const {
  return std::ranges::find(m_site.config.sources, peer, &SourceConfig::peer) != m_site.config.sources.end();
}

std::vector<wire::Neighbour> Relay::neighbours() const {
  std::vector<wire::Neighbour> out;
  for (const auto& [id, association] : m_associations)
    if (association->carries_hops() && out.size() < wire::kMaxNeighbours)
      out.push_back({id, association->is_up(), association->is_simulated(), association->obtainable_octets()});
  return out;
}

bool Relay::differs_much(const std::vector<wire::Neighbour>& now) const {
  return !std::ranges::equal(
      now, m_states.find(m_site.config.id)->neighbours, [](const wire::Neighbour& a, const wire::Neighbour& b) {
        return a.id == b.id && a.up == b.up && a.simulated == b.simulated && magnitude(a.octets) == magnitude(b.octets);
      });
}

void Relay::publish() {
  m_publish_again = m_published && m_site.now < *m_published + kStateInterval;
  if (m_publish_again) return;
  m_published = m_site.now;
  m_next_look = m_site.now + kLookInterval;
  m_states.publish(m_site.config.relay.trusted_node, neighbours(), m_site.now);
  m_flooding.flood(m_site.config.id);
}

Result<void> Relay::handle(std::vector<RelayEvent> events) {
  for (RelayEvent& event : events)
    QUIPU_TRY(std::visit([this](auto& each) { return on(each); }, event));
  QUIPU_TRY(m_transit.progress());
  make_blocks();
  m_flooding.progress(m_site.now);
  return {};
}

// One block each in turn. Who lacks octets of the entropy source keeps its turn, or those with shorter blocks would
// leave it none; the others look after key for theirs meanwhile.
void Relay::make_blocks() {
  for (std::size_t idle = 0; idle < m_turns.size();) {
    const RelaySource::Turn turn = m_turns.front()->take_turn();
    if (turn == RelaySource::Turn::lacks_entropy) {
      for (RelaySource* source : m_turns)
        source->look_for_key();
      return;
    }
    idle = turn == RelaySource::Turn::sent ? 0 : idle + 1;
    m_turns.push_back(m_turns.front());
    m_turns.pop_front();
  }
}

Result<void> Relay::on(const ContactMade& event) {
  if (!takes_part()) return {};
  if (is_neighbour(event.peer)) m_flooding.contact_made(event.peer);
  publish();
  return {};
}

Result<void> Relay::on(const ContactLost& event) {
  m_flooding.contact_lost(event.peer);
  m_transit.contact_lost(event.peer);
  for (auto& [destination, source] : m_sources)
    source.contact_lost(event.peer);
  if (takes_part()) publish();
  return {};
}

Result<void> Relay::on(const LinkStateReceived& event) {
  if (!takes_part() || !is_neighbour(event.from)) return {};
  switch (m_states.receive(event.state, m_site.now)) {
    case LinkStates::Reception::newer: m_flooding.flood(event.state.origin, &event.from); break;
    case LinkStates::Reception::older: m_flooding.owe(event.from, event.state.origin); break;
    case LinkStates::Reception::own_old: publish(); break;
    case LinkStates::Reception::forged:
      if (!std::exchange(m_told_forged, true))
        m_site.alarm("link_state_forged",
                     "a KME speaks of this one's links as if it were this one: relay to here may fail",
                     {{"from", event.from.value()}});
      break;
    case LinkStates::Reception::waiting:
    case LinkStates::Reception::same:
    case LinkStates::Reception::no_room: break;
  }
  return {};
}

Result<void> Relay::on(RelayHopReceived& event) {
  return m_transit.receive(std::move(event));
}

Result<void> Relay::on(const RelayHopAnswered& event) {
  m_transit.hop_answered(event);
  for (auto& [destination, source] : m_sources)
    source.hop_answered(event);
  return {};
}

Result<void> Relay::on(const RelayFailedReceived& event) {
  m_transit.failed(event);
  for (auto& [destination, source] : m_sources)
    source.failed(event);
  return {};
}

Result<void> Relay::on(const RelayEnded& event) {
  if (event.relayed) m_associations.at(event.destination)->note_relayed();
  if (const auto source = m_sources.find(event.destination); source != m_sources.end()) source->second.ended(event);
  return {};
}

void Relay::handle_timeout() {
  m_transit.handle_timeout();
  for (auto& [destination, source] : m_sources)
    source.handle_timeout();
  for (const KmeId& origin : m_states.take_waiting(m_site.now))
    m_flooding.flood(origin);
  if (m_publish_again) publish();
  if (!m_next_look || m_site.now < *m_next_look) return;
  m_next_look = m_site.now + kLookInterval;
  m_states.age(m_site.now);
  if (m_site.now >= *m_published + kStateRefresh || differs_much(neighbours())) publish();
}

std::optional<TimePoint> Relay::next_deadline() const {
  std::optional<TimePoint> next = m_next_look;
  const auto consider = [&](std::optional<TimePoint> due) {
    if (due) next = next ? std::min(*next, *due) : due;
  };
  if (m_publish_again) consider(*m_published + kStateInterval);
  consider(m_states.next_deadline());
  consider(m_transit.next_deadline());
  for (const auto& [destination, source] : m_sources)
    consider(source.next_deadline());
  return next;
}

RelayRouteStatus Relay::describe(const PeerConfig& peer) const {
  RelayRouteStatus status;
  status.peer = peer.id;
  const Association& association = *m_associations.at(peer.id);
  status.target_octets = peer.relay_target_octets;
  status.stock_octets = association.relay_stock_octets();
  status.starved =
      status.stock_octets < status.target_octets && m_site.now >= association.last_relayed() + kStarvedAfter;
  if (const auto source = m_sources.find(peer.id); source != m_sources.end()) source->second.describe(status);
  const Routes::Found& found = m_routes.find(peer);
  status.paths = peer.relay_paths;
  status.paths_found = static_cast<std::uint32_t>(found.paths);
  if (!found.route) {
    if (status.starved) status.missing = m_routes.missing(peer);
    return status;
  }
  const Route& route = *found.route;
  status.configured = route.configured;
  for (std::uint32_t i = 0; i < route.paths.size(); ++i) {
    const KmeId* from = &m_site.config.id;
    for (const KmeId& to : route.paths[i]) {
      const wire::Neighbour* link = m_routes.link(*from, to);  // it may be gone since the search
      const bool is_there = link != nullptr;
      status.links.push_back(
          {*std::exchange(from, &to), to, i + 1, is_there ? link->octets : 0, is_there && link->simulated});
    }
  }
  return status;
}

RelayStatus Relay::status() const {
  RelayStatus status;
  status.trusted_node = m_site.config.relay.trusted_node;
  m_transit.describe(status);
  if (m_entropy) status.entropy = m_entropy->status();
  for (const PeerConfig& peer : m_site.config.peers)
    if (peer.relay_target_octets != 0) status.routes.push_back(describe(peer));
  return status;
}

}  // namespace quipu::kms
