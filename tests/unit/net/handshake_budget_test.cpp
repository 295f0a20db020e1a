// SPDX-License-Identifier: Apache-2.0
#include "net/handshake_budget.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace quipu::net {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr HandshakeLimits kLimits{.stranger = {.burst = 3, .interval = milliseconds(500)},
                                  .known = {.burst = 5, .interval = milliseconds(20)},
                                  .max_senders = 4};

IpAddress sender(std::uint8_t last) {
  return IpAddress::from_octets(Bytes{192, 0, 2, last});
}

int taken(HandshakeBudget& budget, const IpAddress& from, TimePoint now) {
  int count = 0;
  while (budget.take(from, now))
    ++count;
  return count;
}

TEST(HandshakeBudget, ASenderHasABurstAndThenOneAtATime) {
  HandshakeBudget budget(kLimits);
  EXPECT_EQ(taken(budget, sender(1), kStart), 3);
  EXPECT_EQ(taken(budget, sender(1), kStart + milliseconds(499)), 0);
  EXPECT_EQ(taken(budget, sender(1), kStart + milliseconds(500)), 1);
  EXPECT_EQ(taken(budget, sender(1), kStart + milliseconds(5000)), 3) << "no more than a burst is saved up";
}

TEST(HandshakeBudget, SendersDoNotTouchEachOther) {
  HandshakeBudget budget(kLimits);
  EXPECT_EQ(taken(budget, sender(1), kStart), 3);
  EXPECT_EQ(taken(budget, sender(2), kStart), 3);
}

TEST(HandshakeBudget, WhoIsKnownHasMore) {
  HandshakeBudget budget(kLimits);
  EXPECT_EQ(taken(budget, sender(1), kStart), 3);
  EXPECT_FALSE(budget.is_known(sender(1)));
  budget.know(sender(1), kStart);
  EXPECT_TRUE(budget.is_known(sender(1)));
  EXPECT_EQ(taken(budget, sender(1), kStart), 5);
  EXPECT_EQ(taken(budget, sender(1), kStart + milliseconds(20)), 1);
}

// Strangers of a /64 share; what they begin is not held against a neighbour that is known.
TEST(HandshakeBudget, WhoIsKnownSharesWithNoNeighbour) {
  HandshakeBudget budget(kLimits);
  const IpAddress known = *IpAddress::parse("2001:db8::1");
  const IpAddress neighbour = *IpAddress::parse("2001:db8::2");
  budget.know(known, kStart);
  EXPECT_FALSE(budget.is_known(neighbour));
  EXPECT_EQ(taken(budget, neighbour, kStart), 3);
  EXPECT_EQ(taken(budget, *IpAddress::parse("2001:db8::3"), kStart), 0);
  EXPECT_EQ(taken(budget, known, kStart), 5);
}

TEST(HandshakeBudget, LoopbackIsNotCounted) {
  HandshakeBudget budget(kLimits);
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_TRUE(budget.take(*IpAddress::parse("127.0.0.1"), kStart));
    EXPECT_TRUE(budget.take(*IpAddress::parse("::1"), kStart));
  }
}

TEST(HandshakeBudget, WhoFloodsIsNotForgottenAmongManyOthers) {
  HandshakeBudget budget(kLimits);
  EXPECT_EQ(taken(budget, sender(1), kStart), 3);
  for (std::uint8_t other = 2; other < 200; ++other)
    EXPECT_TRUE(budget.take(sender(other), kStart));
  EXPECT_FALSE(budget.take(sender(1), kStart));
}

TEST(HandshakeBudget, TheKnownAreForgottenByTheirLastHandshake) {
  HandshakeBudget budget(kLimits);
  for (std::uint8_t one = 1; one <= 4; ++one)
    budget.know(sender(one), kStart + milliseconds(one));
  EXPECT_TRUE(budget.take(sender(1), kStart + milliseconds(100)));
  budget.know(sender(5), kStart + milliseconds(200));
  EXPECT_TRUE(budget.is_known(sender(1)));
  EXPECT_FALSE(budget.is_known(sender(2)));
}

}  // namespace
}  // namespace quipu::net
