// SPDX-License-Identifier: Apache-2.0
#include "plugins/sim/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "support/fixed_rng.h"

namespace quipu::sim {
namespace {

using test::SeededRng;

// One end with the blocks that it delivered and the messages that are under way to it.
struct End {
  End(Role role, SeededRng& rng) : exchange(std::make_unique<Exchange>(role, 64, rng)) {}

  std::unique_ptr<Exchange> exchange;
  std::deque<Bytes> incoming;
  std::vector<KeyBlock> blocks;
};

class Pair {
 public:
  SeededRng rng{"exchange"};
  End alice{Role::alice, rng};
  End bob{Role::bob, rng};

  void connect() {
    alice.incoming = {bob.exchange->connected()};
    bob.incoming = {alice.exchange->connected()};
  }

  void disconnect() {
    for (End* end : {&alice, &bob}) {
      end->incoming.clear();
      end->exchange->disconnected();
    }
  }

  // One thing that `end` can do; false when there is none.
  bool act(End& end) {
    End& other = &end == &alice ? bob : alice;
    if (!end.incoming.empty()) {
      const auto parsed = parse_message(end.incoming.front());
      end.incoming.pop_front();
      auto step = end.exchange->handle((*parsed)->message);
      EXPECT_TRUE(step) << step.error().text;
      if (!step->send.empty()) other.incoming.push_back(step->send);
      if (step->deliver) end.blocks.push_back(std::move(*step->deliver));
      return true;
    }
    if (end.exchange->may_accept()) {
      other.incoming.push_back(end.exchange->accept());
      return true;
    }
    return false;
  }

  void settle() {
    while (act(alice) || act(bob)) {
    }
  }

  void make_block() {
    settle();
    ASSERT_TRUE(alice.exchange->may_propose());
    bob.incoming.push_back(alice.exchange->propose());
  }

  void expect_equal() const {
    ASSERT_EQ(alice.blocks.size(), bob.blocks.size());
    for (std::size_t i = 0; i < alice.blocks.size(); ++i) {
      EXPECT_EQ(alice.blocks[i].id, bob.blocks[i].id);
      EXPECT_EQ(alice.blocks[i].sequence, bob.blocks[i].sequence);
      EXPECT_TRUE(alice.blocks[i].key == bob.blocks[i].key);
      EXPECT_TRUE(i == 0 || alice.blocks[i].sequence > alice.blocks[i - 1].sequence);
    }
  }
};

TEST(Exchange, BothEndsGetTheSameBlocks) {
  Pair pair;
  pair.connect();
  for (int i = 0; i < 5; ++i)
    pair.make_block();
  pair.settle();
  ASSERT_EQ(pair.alice.blocks.size(), 5U);
  pair.expect_equal();
  EXPECT_EQ(pair.alice.blocks[0].key.size(), 64U);
  EXPECT_FALSE(pair.alice.blocks[0].key == pair.alice.blocks[1].key);
  EXPECT_EQ(pair.bob.blocks[4].sequence, 4U);
}

// The connection breaks after each possible number of steps, and comes back.
TEST(Exchange, ABreakAnywhereLosesNoConfirmedBlockAndRepeatsNone) {
  for (int steps = 0; steps < 8; ++steps) {
    Pair pair;
    pair.connect();
    pair.make_block();
    for (int i = 0; i < steps; ++i)
      if (!pair.act(pair.bob)) pair.act(pair.alice);
    pair.disconnect();
    EXPECT_FALSE(pair.alice.exchange->may_propose());
    pair.connect();
    pair.make_block();
    pair.settle();
    SCOPED_TRACE(steps);
    ASSERT_GE(pair.alice.blocks.size(), 1U);
    pair.expect_equal();
  }
}

TEST(Exchange, AThousandBreaksAtRandom) {
  Pair pair;
  std::mt19937 dice(7);
  pair.connect();
  for (int i = 0; i < 20000; ++i) {
    if (dice() % 20 == 0) {
      pair.disconnect();
      pair.connect();
    } else if (pair.alice.exchange->may_propose() && dice() % 2 == 0) {
      pair.bob.incoming.push_back(pair.alice.exchange->propose());
    } else {
      pair.act(dice() % 2 == 0 ? pair.alice : pair.bob);
    }
  }
  pair.disconnect();
  pair.connect();
  pair.settle();
  EXPECT_GT(pair.alice.blocks.size(), 500U);
  EXPECT_GT(pair.bob.exchange->failed(), 50U);
  pair.expect_equal();
}

TEST(Exchange, ARestartOfBobGoesOnWithAlicesCount) {
  Pair pair;
  pair.connect();
  pair.make_block();
  pair.settle();
  pair.disconnect();
  pair.bob = End(Role::bob, pair.rng);
  pair.connect();
  pair.make_block();
  pair.settle();
  ASSERT_EQ(pair.bob.blocks.size(), 1U);
  EXPECT_EQ(pair.bob.blocks[0].sequence, 1U);
  EXPECT_TRUE(pair.bob.blocks[0].key == pair.alice.blocks[1].key);
}

TEST(Exchange, ARestartOfAliceDropsWhatWasPending) {
  Pair pair;
  pair.connect();
  pair.make_block();
  pair.act(pair.bob);
  pair.act(pair.bob);  // accepted
  pair.disconnect();
  pair.alice = End(Role::alice, pair.rng);
  pair.connect();
  pair.make_block();
  pair.settle();
  EXPECT_EQ(pair.bob.exchange->failed(), 1U);
  ASSERT_EQ(pair.bob.blocks.size(), 1U);
  pair.expect_equal();
}

TEST(Exchange, TwoEndsOfOneRoleAreToldSo) {
  SeededRng rng("exchange");
  Exchange one(Role::alice, 64, rng);
  Exchange other(Role::alice, 64, rng);
  const auto hello = parse_message(other.connected());
  const auto result = one.handle((*hello)->message);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().text, testing::HasSubstr("both ends of the fibre have role = \"alice\""));
}

TEST(Exchange, MessagesOutOfTurnEndTheConnection) {
  Pair pair;
  EXPECT_FALSE(pair.bob.exchange->handle(Propose{0, Uuid::from_random({1}), {}}));  // before the hello
  pair.connect();
  pair.settle();
  EXPECT_FALSE(pair.bob.exchange->handle(Hello{Role::alice, {}, 0, 64}));
  EXPECT_FALSE(pair.bob.exchange->handle(Propose{1, Uuid::from_random({1}), {}}));
  EXPECT_FALSE(pair.bob.exchange->handle(Propose{0, Uuid{}, {}}));
  EXPECT_FALSE(pair.bob.exchange->handle(Accept{0, {}}));
  EXPECT_FALSE(pair.bob.exchange->handle(Confirm{1}));
  EXPECT_FALSE(pair.alice.exchange->handle(Accept{0, {}}));
  EXPECT_FALSE(pair.alice.exchange->handle(Propose{0, Uuid::from_random({1}), {}}));
  EXPECT_FALSE(pair.alice.exchange->handle(Confirm{1}));
  pair.make_block();
  EXPECT_FALSE(pair.alice.exchange->handle(Accept{1, {}}));
  pair.settle();
  ASSERT_EQ(pair.bob.blocks.size(), 1U);
  pair.expect_equal();
}

TEST(FibreMessages, IncompleteOnesWaitAndForeignOnesAreRefused) {
  const std::vector<FibreMessage> messages = {Hello{Role::bob, Uuid::from_random({3}), 9, 4096},
                                              Propose{1, Uuid::from_random({4}), {5}}, Accept{2, {6}}, Confirm{3}};
  for (const FibreMessage& message : messages) {
    const Bytes octets = encode(message);
    for (std::size_t size = 0; size < octets.size(); ++size) {
      const auto part = parse_message(ByteView(octets).first(size));
      ASSERT_TRUE(part);
      EXPECT_FALSE(*part);
    }
    const auto whole = parse_message(octets);
    ASSERT_TRUE(whole && *whole);
    EXPECT_EQ((*whole)->size, octets.size());
    EXPECT_EQ((*whole)->message, message);
  }
  EXPECT_FALSE(parse_message(as_bytes("GET / HTTP/1.1")));
  Bytes hello = encode(messages[0]);
  hello[3] ^= 1;
  EXPECT_FALSE(parse_message(hello));
}

}  // namespace
}  // namespace quipu::sim
