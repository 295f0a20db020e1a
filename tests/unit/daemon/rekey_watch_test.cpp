// SPDX-License-Identifier: Apache-2.0
#include "daemon/rekey_watch.h"

#include <gtest/gtest.h>

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;
using protocol::PeerStatus;

constexpr TimePoint kStart{1h};

class RekeyWatchTest : public testing::Test {
 protected:
  RekeyWatchTest() {
    for (const char* name : {"one", "two"}) {
      m_peers.emplace_back();
      m_peers.back().id = protocol::PeerId(static_cast<std::uint32_t>(m_peers.size()));
      m_peers.back().name = name;
      m_peers.back().confirmed = true;
      m_peers.back().statistics.epochs = 4;
    }
  }

  void wait_for(std::span<const PeerStatus> peers) {
    m_watch.add(peers, m_failed, kStart, [this](Result<control::RekeyResult> result) { m_results.push_back(result); });
  }

  std::vector<PeerStatus> m_peers;
  std::vector<control::UnrekeyedPeer> m_failed;  // those that could not even start
  std::vector<Result<control::RekeyResult>> m_results;
  RekeyWatch m_watch;
};

TEST_F(RekeyWatchTest, IsCompleteWhenTheNewEpochIsConfirmed) {
  wait_for({m_peers.data(), 1});
  m_peers[0].statistics.epochs = 5;
  m_peers[0].confirmed = false;
  m_watch.check(m_peers, kStart);
  EXPECT_TRUE(m_results.empty());
  m_peers[0].confirmed = true;
  m_peers[0].statistics.rekey_warm.add(1500us);
  m_watch.check(m_peers, kStart + 40ms);
  ASSERT_EQ(m_results.size(), 1U);
  ASSERT_TRUE(m_results[0].has_value());
  EXPECT_EQ(m_results[0]->rekeys,
            std::vector({control::RekeyedPeer{
                .peer = "one", .latency_ms = 1.5, .key_prefetched = true, .since_asked_ms = 40.0}}));
  EXPECT_TRUE(m_watch.empty());
}

TEST_F(RekeyWatchTest, TellsAColdRekeyAndOneOfTheOtherEnd) {
  wait_for(m_peers);
  for (PeerStatus& peer : m_peers)
    ++peer.statistics.epochs;
  m_peers[0].statistics.rekey_cold.add(7ms);
  m_watch.check(m_peers, kStart);
  ASSERT_EQ(m_results.size(), 1U);
  EXPECT_EQ(
      m_results[0]->rekeys,
      std::vector({control::RekeyedPeer{.peer = "one", .latency_ms = 7.0, .key_prefetched = false, .since_asked_ms = 0},
                   control::RekeyedPeer{
                       .peer = "two", .latency_ms = std::nullopt, .key_prefetched = false, .since_asked_ms = 0}}));
}

TEST_F(RekeyWatchTest, NamesThePeerThatIsNotDoneInTime) {
  wait_for({m_peers.data(), 1});
  m_watch.check(m_peers, kStart);
  EXPECT_TRUE(m_results.empty());
  ASSERT_EQ(m_watch.next_deadline(), kStart + 10s);
  m_watch.check(m_peers, kStart + 10s);
  ASSERT_EQ(m_results.size(), 1U);
  ASSERT_FALSE(m_results[0].has_value());
  EXPECT_EQ(m_results[0].error().code, Errc::timeout);
  EXPECT_NE(m_results[0].error().text.find("'one'"), std::string::npos);
  EXPECT_EQ(m_watch.next_deadline(), std::nullopt);
}

TEST_F(RekeyWatchTest, OneThatFailsDoesNotHideThoseThatAreDone) {
  m_failed = {{"three", "three: no endpoint is known yet"}};
  wait_for(m_peers);
  ++m_peers[0].statistics.epochs;
  m_watch.check(m_peers, kStart);
  EXPECT_TRUE(m_results.empty());
  m_watch.check(m_peers, kStart + 10s);
  ASSERT_EQ(m_results.size(), 1U);
  ASSERT_TRUE(m_results[0].has_value());
  ASSERT_EQ(m_results[0]->rekeys.size(), 1U);
  EXPECT_EQ(m_results[0]->rekeys[0].peer, "one");
  ASSERT_EQ(m_results[0]->failed.size(), 2U);
  EXPECT_EQ(m_results[0]->failed[0], m_failed[0]);
  EXPECT_EQ(m_results[0]->failed[1].peer, "two");
}

TEST_F(RekeyWatchTest, APeerThatGoesIsNotWaitedFor) {
  wait_for(m_peers);
  m_watch.check({m_peers.data(), 1}, kStart);
  EXPECT_TRUE(m_results.empty());
  ++m_peers[0].statistics.epochs;
  m_watch.check({m_peers.data(), 1}, kStart);
  ASSERT_EQ(m_results.size(), 1U);
  ASSERT_TRUE(m_results[0].has_value());
  ASSERT_EQ(m_results[0]->failed.size(), 1U);
  EXPECT_EQ(m_results[0]->failed[0].peer, "two");
  wait_for({m_peers.data(), 1});
  m_watch.check({}, kStart);
  ASSERT_EQ(m_results.size(), 2U);
  EXPECT_EQ(m_results[1].error().code, Errc::not_found);
}

// As with two requests that stand behind one another on a connection.
TEST_F(RekeyWatchTest, AHandlerMayAskForTheNextRekey) {
  for (int i = 0; i < 2; ++i)
    m_watch.add(m_peers, {}, kStart, [this](Result<control::RekeyResult> result) {
      m_results.push_back(std::move(result));
      wait_for({m_peers.data(), 1});
      m_watch.check(m_peers, kStart);
    });
  for (PeerStatus& peer : m_peers)
    ++peer.statistics.epochs;
  m_watch.check(m_peers, kStart);
  EXPECT_EQ(m_results.size(), 2U);
  ++m_peers[0].statistics.epochs;
  m_watch.check(m_peers, kStart);
  ASSERT_EQ(m_results.size(), 4U);
  for (const Result<control::RekeyResult>& result : m_results)
    EXPECT_TRUE(result.has_value());
  EXPECT_TRUE(m_watch.empty());
}

TEST_F(RekeyWatchTest, KeepsWaitsApart) {
  wait_for({m_peers.data(), 1});
  wait_for(std::span(m_peers).subspan(1));
  ++m_peers[1].statistics.epochs;
  m_watch.check(m_peers, kStart);
  ASSERT_EQ(m_results.size(), 1U);
  EXPECT_EQ(m_results[0]->rekeys.at(0).peer, "two");
  EXPECT_FALSE(m_watch.empty());
}

}  // namespace
}  // namespace quipu::daemon
