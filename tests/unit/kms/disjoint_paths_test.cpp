// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/disjoint_paths.h"

#include <gmock/gmock.h>

#include <optional>
#include <random>

namespace quipu::kms {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Paths = std::vector<std::vector<std::size_t>>;

// 0 - 1 - 2 - 3 is the cheapest path, and would leave nothing for a second one.
TEST(DisjointPaths, TheCheapestPathDoesNotStandInTheWayOfAPair) {
  const WeightedLinks trap{{{1, 1}, {2, 10}}, {{2, 1}, {3, 10}}, {{3, 1}}, {}};
  EXPECT_THAT(disjoint_paths(trap, 0, 3, 1), ElementsAre(ElementsAre(1, 2, 3)));
  EXPECT_THAT(disjoint_paths(trap, 0, 3, 2), ElementsAre(ElementsAre(1, 3), ElementsAre(2, 3)));
  EXPECT_EQ(disjoint_paths(trap, 0, 3, 3).size(), 2U) << "there are no three";
}

// Their links are all different, but 3 is on every path.
TEST(DisjointPaths, NoNodeIsOnTwo) {
  const WeightedLinks narrow{{{1, 1}, {2, 1}}, {{3, 1}}, {{3, 1}}, {{4, 1}, {5, 1}}, {{6, 1}}, {{6, 1}}, {}};
  EXPECT_EQ(disjoint_paths(narrow, 0, 6, 2).size(), 1U);
  EXPECT_THAT(disjoint_paths(narrow, 6, 0, 1), IsEmpty());
}

class SmallNetwork {
 public:
  explicit SmallNetwork(std::uint32_t seed) : m_random(seed), m_links(kNodes) {
    for (auto& links : m_links)
      for (std::size_t to = 0; to < kNodes; ++to)
        if (m_random() % 100 < 40) links.push_back({to, 1 + m_random() % 20});
  }

  const WeightedLinks& links() const { return m_links; }

  std::uint64_t cost(const Paths& paths) const {
    std::uint64_t sum = 0;
    for (const auto& path : paths) {
      std::size_t from = kFrom;
      for (const std::size_t to : path)
        sum += std::ranges::find(m_links[std::exchange(from, to)], to, &WeightedLink::to)->cost;
    }
    return sum;
  }

  // The least cost of so many disjoint paths, by trying all of them.
  std::optional<std::uint64_t> least(std::size_t count, std::uint32_t taken = 0) const {
    if (count == 0) return 0;
    std::optional<std::uint64_t> best;
    extend(kFrom, taken, 0, count, best);
    return best;
  }

  static constexpr std::size_t kNodes = 7;
  static constexpr std::size_t kFrom = 0;
  static constexpr std::size_t kTo = kNodes - 1;

 private:
  void extend(std::size_t at, std::uint32_t taken, std::uint64_t spent, std::size_t count,
              std::optional<std::uint64_t>& best) const {
    for (const WeightedLink& link : m_links[at]) {
      if (link.to == kFrom || (taken >> link.to & 1U) != 0) continue;
      if (link.to != kTo) {
        extend(link.to, taken | 1U << link.to, spent + link.cost, count, best);
      } else if (at != kFrom || (taken >> kFrom & 1U) == 0) {  // the link from end to end serves one path
        const auto rest = least(count - 1, at == kFrom ? taken | 1U << kFrom : taken);
        if (rest && (!best || spent + link.cost + *rest < *best)) best = spent + link.cost + *rest;
      }
    }
  }

  std::mt19937 m_random;
  WeightedLinks m_links;
};

TEST(DisjointPaths, AreTheCheapestOfAllChoices) {
  std::size_t pairs = 0;
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    const SmallNetwork network(seed);
    for (std::size_t count = 1; count <= 3; ++count) {
      SCOPED_TRACE(std::to_string(count) + " paths, seed " + std::to_string(seed));
      const Paths paths = disjoint_paths(network.links(), SmallNetwork::kFrom, SmallNetwork::kTo, count);
      std::vector<std::size_t> passed;
      for (const auto& path : paths)
        passed.insert(passed.end(), path.begin(), path.end() - 1);
      std::ranges::sort(passed);
      EXPECT_EQ(std::ranges::adjacent_find(passed), passed.end()) << "a node is on two paths";
      const auto least = network.least(count);
      ASSERT_EQ(paths.size() == count, least.has_value());
      if (!least) continue;
      EXPECT_EQ(network.cost(paths), *least);
      pairs += count > 1 ? 1U : 0U;
    }
  }
  EXPECT_GT(pairs, 100U);
}

}  // namespace
}  // namespace quipu::kms
