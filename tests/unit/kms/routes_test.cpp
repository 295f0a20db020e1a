// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/routes.h"

#include <gtest/gtest.h>

#include "support/fixed_rng.h"

namespace quipu::kms {
namespace {

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

  test::ScriptedRng rng{{}};
  Site site{{kA, {}, {}, {}, {}}, rng, {}, {}, {}, SaeRates()};
  LinkStates states{kA};
  Routes routes{site, states};
};

// It is asked for in each call while a pool wants a block: nothing may be searched for again that has not changed.
TEST_F(RoutesOfALine, AreSearchedForAgainWhenAStateHasChanged) {
  const Route* route = routes.find(kC);
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->path, (std::vector{kB, kC}));
  EXPECT_EQ(route->octets, 50'000U);
  const KmeId* const path = route->path.data();
  ASSERT_EQ(routes.find(kC), route);
  EXPECT_EQ(route->path.data(), path) << "the path was searched for again";
  states.receive({kB, 2, 0, true, {{kA, true, false, 100'000}, {kC, false, false, 50'000}}},
                 TimePoint{} + kStateInterval);
  EXPECT_EQ(routes.find(kC), nullptr);
}

TEST_F(RoutesOfALine, AreSearchedForAgainWhenALinkIsAvoidedAndWhenItIsNoMore) {
  const KmeId d("d");
  states.publish(false, {{kB, true, false, 100'000}, {d, true, false, 100'000}}, {});
  states.receive({d, 1, 0, true, {{kA, true, false, 100'000}, {kC, true, false, 20'000}}}, {});
  states.receive({kC, 2, 0, false, {{kB, true, false, 50'000}, {d, true, false, 20'000}}},
                 TimePoint{} + kStateInterval);
  EXPECT_EQ(routes.find(kC)->path.front(), kB);
  routes.avoid(kB, kC);
  EXPECT_EQ(routes.find(kC)->path.front(), d);
  site.now += kAvoidFailed;
  EXPECT_EQ(routes.find(kC)->path.front(), kB);
}

}  // namespace
}  // namespace quipu::kms
