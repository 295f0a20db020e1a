// SPDX-License-Identifier: Apache-2.0
// Why nothing can be relayed to a KME, in words for who has to mend it.
#include <set>

#include "kms/relay/routes.h"

namespace quipu::kms {
namespace {

// So that a way with few faults is found before a short one with more.
constexpr std::uint64_t kFaultCost = 1'000;

}  // namespace

// Empty when key can be relayed over it.
std::string Routes::fault(const KmeId& from, const KmeId& to) const {
  const bool begins_here = from == m_site.config.id;
  if (!begins_here && m_states.find(from) == nullptr) return "nothing is heard of " + from.value();
  if (!begins_here && !is_trusted(from)) return from.value() + " is no trusted node";
  if (link(from, to) != nullptr) return "";
  const std::string name = "link " + from.value() + " to " + to.value();
  const wire::Neighbour* there = told(from, to);
  const wire::Neighbour* back = told(to, from);
  if (there == nullptr && back == nullptr) return "there is no " + name;
  if (there != nullptr && there->up && m_states.find(to) == nullptr) return "nothing is heard of " + to.value();
  if (there == nullptr || !there->up || back == nullptr || !back->up) return "the " + name + " is down";
  return "the " + name + " has too little key, " + std::to_string(there->octets * 8) + " bit";
}

std::string Routes::first_fault(const std::vector<RelayPath>& paths) const {
  for (const RelayPath& path : paths) {
    const KmeId* from = &m_site.config.id;
    for (const KmeId& to : path)
      if (std::string found = fault(*std::exchange(from, &to), to); !found.empty()) return found;
  }
  return "";
}

// As cheapest(), were all links that somebody tells of good, and all nodes trusted: those with the fewest faults.
std::vector<RelayPath> Routes::imagined(const KmeId& destination, std::size_t count) const {
  std::set<KmeId> nodes;
  std::set<std::pair<KmeId, KmeId>> links;
  for (const KmeId& origin : m_states.origins()) {
    nodes.insert(origin);
    for (const wire::Neighbour& neighbour : m_states.find(origin)->neighbours) {
      nodes.insert(neighbour.id);
      links.insert({{origin, neighbour.id}, {neighbour.id, origin}});
    }
  }
  LinkMap map({nodes.begin(), nodes.end()}, m_site.config.id, destination);
  for (const auto& [from, to] : links)
    map.add(from, to, fault(from, to).empty() ? 1 : kFaultCost);
  return map.paths(count);
}

std::string Routes::missing(const PeerConfig& peer) const {
  if (const std::vector<RelayPath> fixed = configured(peer.id); !fixed.empty()) return first_fault(fixed);
  const std::vector<RelayPath> paths = imagined(peer.id, peer.relay_paths);
  if (std::string fault = first_fault(paths); !fault.empty()) return fault;
  if (paths.empty()) return "no node tells of a way to " + peer.id.value();
  return paths.size() < peer.relay_paths ? "the nodes tell of no further one" : "";
}

}  // namespace quipu::kms
