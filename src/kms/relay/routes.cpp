// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/routes.h"

#include <algorithm>

#include "kms/relay/hop_seal.h"

namespace quipu::kms {
namespace {

// Of a link with key in abundance; one with kScarce octets costs twice as much.
constexpr std::uint64_t kLinkCost = 1'000;
constexpr std::uint64_t kScarce = 262'144;
// More than any path of links that are not avoided.
constexpr std::uint64_t kAvoidedCost = 100'000'000;
constexpr std::uint64_t kLeastOctets = std::uint64_t{pad_slots(kLeastRelayedBlock)} * kSlotSize;

}  // namespace

std::uint32_t Route::block_size() const {
  const std::uint64_t share = octets / 16 / kSlotSize * kSlotSize;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(share, kLeastRelayedBlock, kMostRelayedBlock));
}

const wire::Neighbour* Routes::told(const KmeId& from, const KmeId& to) const {
  const wire::LinkState* state = m_states.find(from);
  if (state == nullptr) return nullptr;
  const auto found = std::ranges::find(state->neighbours, to, &wire::Neighbour::id);
  return found == state->neighbours.end() ? nullptr : &*found;
}

// Both ends have to say that it is up: one that has died says nothing new.
const wire::Neighbour* Routes::link(const KmeId& from, const KmeId& to) const {
  const wire::Neighbour* there = told(from, to);
  const wire::Neighbour* back = told(to, from);
  const bool up = there != nullptr && there->up && back != nullptr && back->up;
  return up && there->octets >= kLeastOctets ? there : nullptr;
}

bool Routes::is_trusted(const KmeId& node) const {
  const wire::LinkState* state = m_states.find(node);
  return state != nullptr && state->trusted_node;
}

std::uint64_t Routes::cost(const KmeId& from, const wire::Neighbour& to) const {
  const auto avoided = m_avoided.find({from, to.id});
  const bool failed = avoided != m_avoided.end() && m_site.now < avoided->second;
  return kLinkCost + kLinkCost * kScarce / to.octets + (failed ? kAvoidedCost : 0);
}

void Routes::avoid(const KmeId& from, const KmeId& to) {
  std::erase_if(m_avoided, [&](const auto& each) { return each.second <= m_site.now; });
  m_avoided[{from, to}] = m_site.now + kAvoidFailed;
  for (auto& [destination, remembered] : m_found)
    remembered.until = m_site.now;
}

// Of this KME, the destination, and the trusted nodes.
std::vector<RelayPath> Routes::cheapest(const KmeId& destination, std::size_t count) const {
  const KmeId& own = m_site.config.id;
  std::vector<KmeId> nodes = m_states.origins();
  std::erase_if(nodes, [&](const KmeId& node) { return node != own && node != destination && !is_trusted(node); });
  LinkMap map(nodes, own, destination);
  for (const KmeId& from : nodes)
    for (const wire::Neighbour& to : m_states.find(from)->neighbours)
      if (link(from, to.id) != nullptr) map.add(from, to.id, cost(from, to));
  return map.paths(count);
}

bool Routes::add(Route& route, const RelayPath& path) const {
  if (path.size() < 2 || path.size() > wire::kMaxRelayPath + 1) return false;
  const KmeId* from = &m_site.config.id;
  for (const KmeId& to : path) {
    const wire::Neighbour* each = link(*from, to);
    if (each == nullptr || (from != &m_site.config.id && !is_trusted(*from))) return false;
    route.octets = std::min(route.octets, each->octets);
    route.simulated = route.simulated || each->simulated;
    from = &to;
  }
  route.paths.push_back(path);
  return true;
}

const Routes::Found& Routes::find(const PeerConfig& peer) const {
  const auto due = next_search(peer.id);
  Remembered& remembered = m_found[peer.id];
  if (due && *due <= m_site.now) {
    remembered = {search(peer), m_site.now, m_states.version(), TimePoint::max()};
    for (const auto& [link, until] : m_avoided)
      if (until > m_site.now) remembered.until = std::min(remembered.until, until);
  }
  return remembered.found;
}

std::optional<TimePoint> Routes::next_search(const KmeId& destination) const {
  const auto found = m_found.find(destination);
  if (found == m_found.end()) return m_site.now;
  const Remembered& last = found->second;
  if (last.version == m_states.version() && last.until > m_site.now) return std::nullopt;
  return last.searched + kSearchInterval * static_cast<Duration::rep>(m_states.count() * m_found.size());
}

std::vector<RelayPath> Routes::configured(const KmeId& destination) const {
  std::vector<RelayPath> paths;
  for (const StaticRoute& each : m_site.config.relay.routes) {
    if (each.to != destination) continue;
    paths.push_back(each.via);
    paths.back().push_back(destination);
  }
  return paths;
}

Routes::Found Routes::search(const PeerConfig& peer) const {
  Route route{{}, UINT64_MAX, false, false};
  const std::vector<RelayPath> fixed = configured(peer.id);
  route.configured = !fixed.empty();
  for (const RelayPath& path : route.configured ? fixed : cheapest(peer.id, peer.relay_paths))
    add(route, path);
  const std::size_t paths = route.paths.size();
  return {paths == peer.relay_paths ? std::optional(std::move(route)) : std::nullopt, paths};
}

}  // namespace quipu::kms
