// SPDX-License-Identifier: Apache-2.0
// Paths through a network that share no node but their ends, and have the least cost together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quipu::kms {

struct WeightedLink {
  std::size_t to = 0;
  std::uint64_t cost = 0;
};

// By the node where they begin.
using WeightedLinks = std::vector<std::vector<WeightedLink>>;

// `count` paths from one node to another, each without its first node; or as many as there are, if these are fewer. Of
// all choices, one of the least total cost, and the same one each time. All costs together stay below 2^62.
std::vector<std::vector<std::size_t>> disjoint_paths(const WeightedLinks& links, std::size_t from, std::size_t to,
                                                     std::size_t count);

}  // namespace quipu::kms
