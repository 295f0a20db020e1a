// SPDX-License-Identifier: Apache-2.0
#include "net/fair_share.h"

#include <gtest/gtest.h>

#include <vector>

namespace quipu::net {
namespace {

struct Share {
  std::string_view caller;
  bool busy;
  int count;
};

// Numbered from 1 in that order.
std::optional<std::uint64_t> place_of(std::string_view newcomer, const std::vector<Share>& shares) {
  std::vector<HeldConnection> held;
  for (const Share& share : shares) {
    for (int i = 0; i < share.count; ++i)
      held.push_back({.id = held.size() + 1, .caller = share.caller, .busy = share.busy, .since = {}});
  }
  return gives_way_to(newcomer, held);
}

TEST(FairShare, AnIdleOneOfWhoHoldsMostComesBeforeOnesOwn) {
  EXPECT_EQ(place_of("b", {{"b", false, 2}, {"a", true, 1}, {"a", false, 2}}), 4U);
  EXPECT_EQ(place_of("c", {{"b", false, 1}, {"a", true, 1}, {"a", false, 1}}), 3U);
  EXPECT_EQ(place_of("b", {{"a", false, 2}, {"b", false, 2}}), 3U) << "nobody holds more than the newcomer";
}

TEST(FairShare, OnesOwnIdleOneComesBeforeABusyOneOfAnother) {
  EXPECT_EQ(place_of("b", {{"a", true, 5}, {"b", false, 3}}), 6U);
  EXPECT_EQ(place_of("b", {{"a", true, 4}, {"b", false, 3}, {"c", true, 1}}), 5U);
  EXPECT_EQ(place_of("b", {{"a", true, 5}, {"b", true, 3}}), 1U);
  EXPECT_EQ(place_of("b", {{"a", true, 4}, {"b", true, 3}}), std::nullopt);
}

TEST(FairShare, StrangersComeFirstWhateverTheyDo) {
  EXPECT_EQ(place_of("a", {{"a", false, 3}, {"", true, 2}}), 4U);
  EXPECT_EQ(place_of("a", {{"a", false, 3}, {"", true, 1}, {"", false, 1}}), 5U);
  EXPECT_EQ(place_of("", {{"a", false, 3}, {"", false, 1}}), 4U);
  EXPECT_EQ(place_of("", {{"a", false, 3}, {"", true, 1}}), std::nullopt);
}

}  // namespace
}  // namespace quipu::net
