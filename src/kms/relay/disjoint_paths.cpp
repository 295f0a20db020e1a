// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/disjoint_paths.h"

#include <algorithm>
#include <deque>
#include <limits>

namespace quipu::kms {
namespace {

// Successive cheapest augmenting paths (Suurballe 1974, Bhandari 1999): a flow in which each node passes one unit. To
// see to that, node v is cut into where links end (2v) and where they begin (2v + 1), with one arc between.
class Flow {
 public:
  explicit Flow(const WeightedLinks& links) : m_arcs(2 * links.size()) {
    for (std::size_t node = 0; node < links.size(); ++node) {
      add(2 * node, 2 * node + 1, 0);
      for (const WeightedLink& link : links[node])
        add(2 * node + 1, 2 * link.to, static_cast<std::int64_t>(link.cost));
    }
  }

  // One path more, which may take back links of the others. False when there is none.
  bool augment(std::size_t from, std::size_t to) {
    const std::vector<Reached> reached = cheapest(2 * from + 1);
    if (reached[2 * to].cost == kUnreached) return false;
    for (std::size_t at = 2 * to; at != 2 * from + 1; at = reached[at].by) {
      Arc& arc = m_arcs[reached[at].by][reached[at].arc];
      arc.open = false;
      m_arcs[arc.to][arc.reverse].open = true;
    }
    return true;
  }

  std::vector<std::vector<std::size_t>> paths(std::size_t from, std::size_t to) const {
    std::vector<std::vector<std::size_t>> out;
    for (const Arc& first : m_arcs[2 * from + 1]) {
      if (!first.is_used()) continue;
      std::vector<std::size_t>& path = out.emplace_back(1, first.to / 2);
      while (path.back() != to)
        path.push_back(next(path.back()));
    }
    return out;
  }

 private:
  static constexpr std::int64_t kUnreached = std::numeric_limits<std::int64_t>::max();

  struct Arc {
    std::size_t to = 0;
    std::int64_t cost = 0;
    std::size_t reverse = 0;  // among those of `to`
    bool forward = false;     // a link of the network, or a node; else what takes it back
    bool open = false;        // can take the unit that each arc passes at most

    bool is_used() const { return forward && !open; }
  };

  struct Reached {
    std::int64_t cost = kUnreached;
    std::size_t by = 0;
    std::size_t arc = 0;  // among those of `by`
  };

  void add(std::size_t from, std::size_t to, std::int64_t cost) {
    m_arcs[from].push_back({to, cost, m_arcs[to].size(), true, true});
    m_arcs[to].push_back({from, -cost, m_arcs[from].size() - 1, false, false});
  }

  // Where the path that passes this node goes on.
  std::size_t next(std::size_t node) const { return std::ranges::find_if(m_arcs[2 * node + 1], &Arc::is_used)->to / 2; }

  // Bellman and Ford's algorithm, for what is taken back has a negative cost; there is no circle of such a cost, since
  // the flow is a cheapest one of its size.
  std::vector<Reached> cheapest(std::size_t from) const {
    std::vector<Reached> reached(m_arcs.size());
    std::vector<bool> queued(m_arcs.size());
    std::deque<std::size_t> queue{from};
    reached[from].cost = 0;
    while (!queue.empty()) {
      const std::size_t at = queue.front();
      queue.pop_front();
      queued[at] = false;
      for (std::size_t i = 0; i < m_arcs[at].size(); ++i) {
        const Arc& arc = m_arcs[at][i];
        const std::int64_t total = reached[at].cost + arc.cost;
        if (!arc.open || reached[arc.to].cost <= total) continue;
        reached[arc.to] = {total, at, i};
        if (!queued[arc.to]) queue.push_back(arc.to);
        queued[arc.to] = true;
      }
    }
    return reached;
  }

  std::vector<std::vector<Arc>> m_arcs;
};

}  // namespace

std::vector<std::vector<std::size_t>> disjoint_paths(const WeightedLinks& links, std::size_t from, std::size_t to,
                                                     std::size_t count) {
  Flow flow(links);
  for (std::size_t found = 0; found < count && flow.augment(from, to); ++found) {
  }
  return flow.paths(from, to);
}

}  // namespace quipu::kms
