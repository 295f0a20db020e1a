// SPDX-License-Identifier: Apache-2.0
// Real driver processes (tests/unit/driver/plugins), and a KM link that the test plays.
#include "kmsd/links.h"

#include <gmock/gmock.h>

#include <set>

#include "kmsd/gathered_blocks.h"
#include "support/recorded_log.h"
#include "unit/net/fixture.h"

namespace quipu::kmsd {
namespace {

using test::run_until;

class LinksTest : public ::testing::Test {
 protected:
  struct Driver {
    std::string link;
    std::map<std::string, std::string> options;
    std::string peer = "kme-b";  // the one that may have room
  };

  void start(const std::vector<Driver>& drivers) {
    std::vector<config::LinkConfig> configs;
    for (const auto& [name, options, peer] : drivers) {
      config::LinkConfig& config = configs.emplace_back();
      config.name = name;
      config.peer_kme = KmeId(peer);
      config.driver = "test";
      config.allow_simulated = true;
      config.options.insert(options.begin(), options.end());
    }
    const Links::Events events{.blocks =
                                   [this](const std::vector<kms::SourceBlock>& blocks) {
                                     for (const kms::SourceBlock& block : blocks)
                                       EXPECT_TRUE(taken.insert(block.id).second);
                                   },
                               .has_room = [this](const KmeId& peer) { return peer == KmeId("kme-b") && room > 0; },
                               .peer_message =
                                   [this](const std::string& link, SecretBytes message) {
                                     --room;
                                     sent[link].push_back(ByteReader(message.view()).u32());
                                   }};
    links = Links::start(
        loop, {.program = QUIPU_BINARY_DIR "/bin/quipu-driver", .plugin_folder = QUIPU_BINARY_DIR "/test-drivers"},
        configs, events, log);
  }

  // Everything that it did when it started has come before.
  void wait_for_telemetry() {
    run_until(loop, [this] {
      const auto reports = links->reports();
      return std::ranges::all_of(reports, [](const auto& each) { return each.second.driver.telemetry.has_value(); });
    });
  }

  net::Loop loop;
  test::RecordedLog log;
  int room = 0;
  std::map<std::string, std::vector<std::uint32_t>> sent;
  std::set<BlockId> taken;
  std::unique_ptr<Links> links;
};

TEST_F(LinksTest, ADriversMessagesWaitUntilTheKmLinkHasRoom) {
  start({{"a-b", {{"messages", "40"}}}});
  wait_for_telemetry();
  EXPECT_TRUE(sent.empty());
  room = 3;
  links->send_waiting();
  EXPECT_THAT(sent["a-b"], testing::ElementsAre(0, 1, 2));
  room = 1000;
  links->send_waiting();
  run_until(loop, [&] { return sent["a-b"].size() == 40; });
  for (std::uint32_t i = 0; i < 40; ++i)
    EXPECT_EQ(sent["a-b"].at(i), i);
  EXPECT_EQ(links->reports().at("a-b").driver.state, driver::HostState::running);
}

TEST_F(LinksTest, DriversShareTheRoom) {
  // Those that have nothing to say, or nobody who hears it, make no difference.
  const std::map<std::string, std::string> talkative{{"messages", "16"}};
  start({{"stalled", talkative, "kme-c"}, {"one", talkative}, {"quiet", {}}, {"quiet too", {}}, {"two", talkative}});
  wait_for_telemetry();
  for (int i = 0; i < 4; ++i) {
    room = 1;
    links->send_waiting();
  }
  EXPECT_EQ(sent["one"].size(), 2U);
  EXPECT_EQ(sent["two"].size(), 2U);
  EXPECT_TRUE(sent["stalled"].empty());
}

// Else each process that comes after would have its window's worth waiting besides.
TEST_F(LinksTest, WhatADriverHadToSayGoesWithItsProcess) {
  start({{"a-b", {{"messages", "5"}, {"mode", "crash"}}}});
  run_until(loop, [&] { return links->reports().at("a-b").driver.state == driver::HostState::backoff; });
  room = 1000;
  links->send_waiting();
  EXPECT_TRUE(sent.empty());
}

kms::SourceBlock some_block() {
  return {.source = "a-b", .id = {}, .key = {}, .simulated = true, .sequence = {}};
}

TEST(GatheredBlocksTest, ThoseThatComeWithinTheTimeGoTogether) {
  const TimePoint first{std::chrono::hours(1)};
  GatheredBlocks blocks;
  EXPECT_FALSE(blocks.due());
  blocks.add(some_block(), first);
  blocks.add(some_block(), first + GatheredBlocks::kGatherTime / 2);
  EXPECT_EQ(blocks.due(), first + GatheredBlocks::kGatherTime);
  EXPECT_EQ(blocks.take().size(), 2U);
  EXPECT_FALSE(blocks.due());
  const TimePoint later = first + std::chrono::seconds(1);
  blocks.add(some_block(), later);
  EXPECT_EQ(blocks.due(), later + GatheredBlocks::kGatherTime);
}

TEST(GatheredBlocksTest, HalfAWindowGoesAtOnce) {
  const TimePoint now{std::chrono::hours(1)};
  GatheredBlocks blocks;
  for (std::uint32_t i = 1; i < driver::kDeliveryWindow / 2; ++i) {
    blocks.add(some_block(), now);
    EXPECT_GT(blocks.due(), now);
  }
  blocks.add(some_block(), now);
  EXPECT_LE(blocks.due(), now);
}

// Those beyond the window come only when the first are acknowledged.
TEST_F(LinksTest, EveryBlockIsHandedOver) {
  start({{"a-b", {{"blocks", "45"}}}});
  run_until(loop, [&] { return taken.size() == 45; });
  EXPECT_EQ(links->reports().at("a-b").driver.restarts, 0U);
}

TEST_F(LinksTest, BlocksOfADriverThatCrashesAreHandedOver) {
  start({{"a-b", {{"blocks", "5"}, {"mode", "crash"}}}});
  run_until(loop, [&] { return links->reports().at("a-b").driver.state == driver::HostState::backoff; });
  run_until(loop, [&] { return taken.size() == links->reports().at("a-b").driver.blocks; });
}

TEST_F(LinksTest, BlocksThatWaitAreHandedOverWhenItStops) {
  start({{"a-b", {{"blocks", "5"}}}});
  run_until(loop, [&] { return links->reports().at("a-b").driver.blocks == 5; });
  links->stop();
  EXPECT_EQ(taken.size(), 5U);
}

}  // namespace
}  // namespace quipu::kmsd
