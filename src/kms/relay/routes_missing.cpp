// SPDX-License-Identifier: Apache-2.0
// Why nothing can be relayed to a KME, in words for who has to mend it.
#include <set>

#include "kms/relay/routes.h"

namespace quipu::kms {
namespace {

// So that a way with few faults is found before a short one with more.
constexpr std::uint64_t kFaultCost = 1'000;

}  // namespace

Routes::Fault Routes::fault(const KmeId& from, const KmeId& to) const {
  const bool begins_here = from == m_site.config.id;
  if (!begins_here && m_states.find(from) == nullptr) return Fault::unheard;
  if (!begins_here && !is_trusted(from)) return Fault::untrusted;
  if (link(from, to) != nullptr) return Fault::none;
  const wire::Neighbour* there = told(from, to);
  const wire::Neighbour* back = told(to, from);
  if (there == nullptr) return back == nullptr ? Fault::absent : Fault::not_offered;
  // Long after its death, too, it is that which the first end tells.
  if (m_states.find(to) == nullptr) return there->up ? Fault::end_unheard : Fault::down;
  if (back == nullptr) return Fault::end_not_offering;
  return there->up && back->up ? Fault::poor : Fault::down;
}

std::string Routes::words(Fault fault, const KmeId& from, const KmeId& to) const {
  const std::string& a = from.value();
  const std::string& b = to.value();
  const std::string link_name = "link " + a + " to " + b;
  switch (fault) {
    case Fault::none: return "";
    case Fault::unheard: return "nothing is heard of " + a;
    case Fault::end_unheard: return "nothing is heard of " + b;
    case Fault::untrusted: return a + " is no trusted node";
    case Fault::absent: return "there is no " + link_name;
    case Fault::not_offered: return a + " does not offer its link to " + b;
    case Fault::end_not_offering: return b + " does not offer its link to " + a;
    case Fault::down: return "the " + link_name + " is down";
    case Fault::poor:
      return "the " + link_name + " has too little key, " + std::to_string(told(from, to)->octets * 8) + " bit";
  }
  return "";
}

std::string Routes::first_fault(const std::vector<RelayPath>& paths) const {
  for (const RelayPath& path : paths) {
    const KmeId* from = &m_site.config.id;
    for (const KmeId& to : path) {
      const KmeId& begin = *std::exchange(from, &to);
      if (const Fault found = fault(begin, to); found != Fault::none) return words(found, begin, to);
    }
  }
  return "";
}

// As cheapest(), were all links that somebody tells of good, and all nodes trusted: those with the fewest faults. Of
// nodes that nothing is heard of there are only those that the two ends have links with: more would be as many as
// anybody likes to tell of.
std::vector<RelayPath> Routes::imagined(const KmeId& destination, std::size_t count) const {
  const std::vector<KmeId> origins = m_states.origins();
  std::set<KmeId> nodes(origins.begin(), origins.end());
  nodes.insert(destination);
  for (const KmeId& end : {m_site.config.id, destination})
    if (const wire::LinkState* state = m_states.find(end); state != nullptr)
      for (const wire::Neighbour& neighbour : state->neighbours)
        nodes.insert(neighbour.id);
  LinkMap map({nodes.begin(), nodes.end()}, m_site.config.id, destination);
  for (const KmeId& origin : origins)
    for (const wire::Neighbour& neighbour : m_states.find(origin)->neighbours) {
      if (!nodes.contains(neighbour.id)) continue;
      map.add(origin, neighbour.id, fault(origin, neighbour.id) == Fault::none ? 1 : kFaultCost);
      if (told(neighbour.id, origin) == nullptr) map.add(neighbour.id, origin, kFaultCost);
    }
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
