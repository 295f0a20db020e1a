// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/routes.h"

#include <algorithm>
#include <set>

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

// Both ends have to say that it is up: one that has died says nothing new.
const wire::Neighbour* Routes::link(const KmeId& from, const KmeId& to) const {
  const auto entry = [&](const KmeId& at, const KmeId& towards) -> const wire::Neighbour* {
    const wire::LinkState* state = m_states.find(at);
    if (state == nullptr) return nullptr;
    const auto found = std::ranges::find(state->neighbours, towards, &wire::Neighbour::id);
    return found == state->neighbours.end() || !found->up ? nullptr : &*found;
  };
  const wire::Neighbour* there = entry(from, to);
  return there == nullptr || there->octets < kLeastOctets || entry(to, from) == nullptr ? nullptr : there;
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
  for (auto& [destination, found] : m_found)
    found.until = m_site.now;
}

// Dijkstra's algorithm. Empty when there is none.
std::vector<KmeId> Routes::cheapest(const KmeId& destination) const {
  struct Reached {
    std::uint64_t cost = 0;
    KmeId by;
    std::size_t links = 0;
  };

  const KmeId& own = m_site.config.id;
  std::map<KmeId, Reached> reached{{own, {}}};
  std::set<std::pair<std::uint64_t, KmeId>> open{{0, own}};
  while (!open.empty()) {
    const KmeId at = open.extract(open.begin()).value().second;
    if (at == destination) break;
    const Reached here = reached.at(at);
    const wire::LinkState* state = m_states.find(at);
    if (state == nullptr || (at != own && !state->trusted_node) || here.links > wire::kMaxRelayPath) continue;
    for (const wire::Neighbour& next : state->neighbours) {
      if ((at == own && next.id == destination) || link(at, next.id) == nullptr) continue;
      const std::uint64_t total = here.cost + cost(at, next);
      const auto known = reached.find(next.id);
      if (known != reached.end() && known->second.cost <= total) continue;
      if (known != reached.end()) open.erase({known->second.cost, next.id});
      reached[next.id] = {total, at, here.links + 1};
      open.emplace(total, next.id);
    }
  }
  std::vector<KmeId> path;
  if (!reached.contains(destination)) return path;
  for (KmeId at = destination; at != own; at = reached.at(at).by)
    path.insert(path.begin(), at);
  return path;
}

std::optional<Route> Routes::describe(std::vector<KmeId> path, bool configured) const {
  if (path.size() < 2) return std::nullopt;
  Route route{std::move(path), UINT64_MAX, false, configured};
  const KmeId* from = &m_site.config.id;
  for (const KmeId& to : route.path) {
    const wire::Neighbour* each = link(*from, to);
    if (each == nullptr || (from != &m_site.config.id && !is_trusted(*from))) return std::nullopt;
    route.octets = std::min(route.octets, each->octets);
    route.simulated = route.simulated || each->simulated;
    from = &to;
  }
  return route;
}

const Route* Routes::find(const KmeId& destination) const {
  const auto [place, fresh] = m_found.try_emplace(destination);
  Found& found = place->second;
  if (fresh || found.version != m_states.version() || found.until <= m_site.now) {
    found = {search(destination), m_states.version(), TimePoint::max()};
    for (const auto& [link, until] : m_avoided)
      if (until > m_site.now) found.until = std::min(found.until, until);
  }
  return found.route ? &*found.route : nullptr;
}

std::optional<Route> Routes::search(const KmeId& destination) const {
  for (const StaticRoute& route : m_site.config.relay.routes) {
    if (route.to != destination) continue;
    std::vector<KmeId> path = route.via;
    path.push_back(destination);
    return describe(std::move(path), true);
  }
  return describe(cheapest(destination), false);
}

}  // namespace quipu::kms
