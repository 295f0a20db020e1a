// SPDX-License-Identifier: Apache-2.0
// Named nodes and what their links cost, to find paths of trusted nodes between two of them.
#pragma once

#include <vector>

#include "base/ids.h"
#include "kms/relay/disjoint_paths.h"

namespace quipu::kms {

// After the KME where it begins; the last is the destination. At least one trusted node.
using RelayPath = std::vector<KmeId>;

class LinkMap {
 public:
  // `nodes`: in the order of their ids, each once.
  LinkMap(std::vector<KmeId> nodes, KmeId from, KmeId to);

  // Ignored when it leads straight from one end to the other, on from the destination, or when a node is not there.
  void add(const KmeId& from, const KmeId& to, std::uint64_t cost);
  // See disjoint_paths().
  std::vector<RelayPath> paths(std::size_t count) const;

 private:
  std::size_t number(const KmeId& node) const;

  std::vector<KmeId> m_nodes;
  KmeId m_from;
  KmeId m_to;
  WeightedLinks m_links;  // by the node's place
};

}  // namespace quipu::kms
