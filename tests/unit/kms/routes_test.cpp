// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/routes.h"

#include <gmock/gmock.h>

#include "support/fixed_rng.h"

namespace quipu::kms {
namespace {

using testing::ElementsAre;

const KmeId kA("a");
const KmeId kB("b");
const KmeId kC("c");

// a - b - c, as all of them tell it.
class RoutesOfALine : public testing::Test {
 protected:
  RoutesOfALine() {
    states.publish(false, {{kB, true, false, 100'000}}, {});
    states.receive({kB, 1, 0, true, {{kA, true, false, 100'000}, {kC, true, false, 50'000}}}, {});
    states.receive({kC, 1, 0, false, {{kB, true, false, 50'000}}}, {});
  }

  void wait_for_search() {
    ASSERT_TRUE(routes.next_search(kC));
    site.now = std::max(site.now, *routes.next_search(kC));
  }

  test::ScriptedRng rng{{}};
  Site site{{kA, {}, {}, {}, {}}, rng, {}, {}, {}, SaeRates()};
  LinkStates states{kA};
  Routes routes{site, states};
  PeerConfig to_c{kC, {}};
};

// It is asked for in each call while a pool wants a block: nothing may be searched for again that has not changed.
TEST_F(RoutesOfALine, AreSearchedForAgainWhenAStateHasChanged) {
  const auto& route = routes.find(to_c).route;
  ASSERT_TRUE(route);
  EXPECT_THAT(route->paths, ElementsAre(ElementsAre(kB, kC)));
  EXPECT_EQ(route->octets, 50'000U);
  const RelayPath* const path = route->paths.data();
  ASSERT_TRUE(routes.find(to_c).route);
  EXPECT_EQ(route->paths.data(), path) << "the path was searched for again";
  states.receive({kB, 2, 0, true, {{kA, true, false, 100'000}, {kC, false, false, 50'000}}},
                 TimePoint{} + kStateInterval);
  wait_for_search();
  EXPECT_FALSE(routes.find(to_c).route);
}

// Who tells of ever new states must not have all the time spent on paths.
TEST_F(RoutesOfALine, AreSearchedForNoOftenerThanTheMapIsLarge) {
  EXPECT_EQ(routes.next_search(kC), site.now);
  ASSERT_TRUE(routes.find(to_c).route);
  EXPECT_EQ(routes.next_search(kC), std::nullopt);
  states.receive({kB, 2, 0, true, {{kA, true, false, 100'000}, {kC, false, false, 50'000}}},
                 TimePoint{} + kStateInterval);
  EXPECT_EQ(routes.next_search(kC), site.now + 3 * kSearchInterval);
  site.now += 3 * kSearchInterval - Duration(1);
  EXPECT_TRUE(routes.find(to_c).route);
  site.now += Duration(1);
  EXPECT_FALSE(routes.find(to_c).route);
  EXPECT_EQ(routes.next_search(kC), std::nullopt);
  routes.find({kB, {}});
  states.receive({KmeId("d"), 1, 0, false, {}}, {});
  EXPECT_EQ(routes.next_search(kC), site.now + 8 * kSearchInterval) << "for two destinations";
}

TEST_F(RoutesOfALine, AreSearchedForAgainWhenALinkIsAvoidedAndWhenItIsNoMore) {
  const KmeId d("d");
  states.publish(false, {{kB, true, false, 100'000}, {d, true, false, 100'000}}, {});
  states.receive({d, 1, 0, true, {{kA, true, false, 100'000}, {kC, true, false, 20'000}}}, {});
  states.receive({kC, 2, 0, false, {{kB, true, false, 50'000}, {d, true, false, 20'000}}},
                 TimePoint{} + kStateInterval);
  const auto first = [&] { return routes.find(to_c).route->paths.front().front(); };
  EXPECT_EQ(first(), kB);
  routes.avoid(kB, kC);
  wait_for_search();
  EXPECT_EQ(first(), d);
  site.now += kAvoidFailed;
  wait_for_search();
  EXPECT_EQ(first(), kB);
}

// b and d are linked, too: the block's poorest link is one of those four that lead to c.
TEST_F(RoutesOfALine, AsManyPathsAsTheBlockHasSharesOrNone) {
  const KmeId d("d");
  to_c.relay_paths = 2;
  EXPECT_FALSE(routes.find(to_c).route);
  EXPECT_EQ(routes.find(to_c).paths, 1U);
  const TimePoint later = TimePoint{} + kStateInterval;
  states.publish(false, {{kB, true, false, 100'000}, {d, true, false, 90'000}}, {});
  states.receive({kB, 2, 0, true, {{kA, true, false, 100'000}, {kC, true, false, 50'000}, {d, true, false, 9'000}}},
                 later);
  states.receive({d, 1, 0, true, {{kA, true, false, 100'000}, {kC, true, true, 20'000}, {kB, true, false, 9'000}}}, {});
  states.receive({kC, 2, 0, false, {{kB, true, false, 50'000}, {d, true, false, 20'000}}}, later);
  wait_for_search();
  const auto& found = routes.find(to_c);
  ASSERT_TRUE(found.route);
  EXPECT_EQ(found.paths, 2U);
  EXPECT_THAT(found.route->paths, ElementsAre(ElementsAre(kB, kC), ElementsAre(d, kC)));
  EXPECT_EQ(found.route->octets, 20'000U);
  EXPECT_TRUE(found.route->simulated);
  to_c.relay_paths = 3;
  routes.avoid(kB, kC);
  wait_for_search();
  EXPECT_FALSE(routes.find(to_c).route);
  EXPECT_EQ(routes.find(to_c).paths, 2U);
}

// An administrator has to find the node where something is to be done.
TEST_F(RoutesOfALine, SayWhichLinkOrNodeLacks) {
  const KmeId d("d");
  TimePoint now;
  std::uint64_t sequence = 1;
  const auto told = [&](bool b_trusted, std::vector<wire::Neighbour> of_b, std::vector<wire::Neighbour> of_c) {
    now += kStateInterval;
    ++sequence;
    states.receive({kB, sequence, 0, b_trusted, std::move(of_b)}, now);
    states.receive({kC, sequence, 0, false, std::move(of_c)}, now);
    return routes.missing(to_c);
  };
  const wire::Neighbour a{kA, true, false, 100'000};
  const wire::Neighbour b{kB, true, false, 100'000};
  const wire::Neighbour c{kC, true, false, 100'000};
  EXPECT_EQ(told(true, {a, c}, {b}), "");
  EXPECT_EQ(told(false, {a, c}, {b}), "b is no trusted node");
  EXPECT_EQ(told(true, {a, {kC, true, false, 64}}, {b}), "the link b to c has too little key, 512 bit");
  EXPECT_EQ(told(true, {a, c}, {{kB, false, false, 100'000}}), "the link b to c is down");
  EXPECT_EQ(told(true, {a, c}, {}), "c does not offer its link to b");
  EXPECT_EQ(told(true, {a}, {b}), "b does not offer its link to c");
  EXPECT_EQ(told(true, {a}, {{d, true, false, 1}}), "no node tells of a way to c");
  EXPECT_EQ(told(true, {a, {d, true, false, 100'000}}, {{d, true, false, 1}}), "nothing is heard of d");
  to_c.relay_paths = 2;
  EXPECT_EQ(told(true, {a, c}, {b}), "the nodes tell of no further one");
  site.config.relay.routes = {{kC, {kB, d}}};
  EXPECT_EQ(told(true, {a, c}, {b}), "there is no link b to d");
}

// Nothing is heard of it any more, and whoever had a link with it tells on.
TEST_F(RoutesOfALine, SayThatALinkIsDownLongAfterItsEndHasDied) {
  const TimePoint later = TimePoint{} + kStateLifetime + std::chrono::seconds(1);
  states.publish(false, {{kB, true, false, 100'000}}, later);
  states.receive({kB, 2, 0, true, {{kA, true, false, 100'000}, {kC, false, false, 100'000}}}, later);
  states.age(later);
  ASSERT_EQ(states.find(kC), nullptr);
  EXPECT_EQ(routes.missing(to_c), "the link b to c is down");
}

}  // namespace
}  // namespace quipu::kms
