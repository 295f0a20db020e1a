// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/link_map.h"

#include <algorithm>

namespace quipu::kms {

LinkMap::LinkMap(std::vector<KmeId> nodes, KmeId from, KmeId to)
    : m_nodes(std::move(nodes)), m_from(std::move(from)), m_to(std::move(to)), m_links(m_nodes.size()) {}

// One past the last when it is not there.
std::size_t LinkMap::number(const KmeId& node) const {
  const auto found = std::ranges::lower_bound(m_nodes, node);
  return found == m_nodes.end() || *found != node ? m_nodes.size() : static_cast<std::size_t>(found - m_nodes.begin());
}

void LinkMap::add(const KmeId& from, const KmeId& to, std::uint64_t cost) {
  if (from == m_to || (from == m_from && to == m_to)) return;
  const std::size_t begin = number(from);
  const std::size_t end = number(to);
  if (begin != m_nodes.size() && end != m_nodes.size()) m_links[begin].push_back({end, cost});
}

std::vector<RelayPath> LinkMap::paths(std::size_t count) const {
  const std::size_t begin = number(m_from);
  const std::size_t end = number(m_to);
  if (begin == m_nodes.size() || end == m_nodes.size()) return {};
  std::vector<RelayPath> paths;
  for (const std::vector<std::size_t>& found : disjoint_paths(m_links, begin, end, count)) {
    RelayPath& path = paths.emplace_back();
    for (const std::size_t node : found)
      path.push_back(m_nodes[node]);
  }
  return paths;
}

}  // namespace quipu::kms
