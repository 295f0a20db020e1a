// SPDX-License-Identifier: Apache-2.0
#include "plugins/sim/link_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quipu::sim {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{hours(5)};

SimOptions options() {
  SimOptions out;
  out.skr_bit_s = 100'000;
  out.initial_bits = 0;
  return out;
}

int blocks_taken(LinkModel& model, std::size_t octets = 4096) {
  int count = 0;
  while (model.take_block(octets))
    ++count;
  return count;
}

TEST(LinkModel, KeepsTheMeanRateOverItsPeriod) {
  LinkModel model(options(), kStart);
  int blocks = 0;
  model.advance(kStart, true);
  for (TimePoint now = kStart; now <= kStart + seconds(1200); now += milliseconds(100)) {
    model.advance(now, true);
    blocks += blocks_taken(model);
  }
  EXPECT_NEAR(blocks * 32768.0 / 1200, 100'000, 1000);
}

TEST(LinkModel, WakesWhenABlockIsThere) {
  LinkModel model(options(), kStart);
  model.advance(kStart, true);
  TimePoint now = kStart;
  for (int i = 0; i < 50; ++i) {
    const TimePoint next = model.next_block(now, 4096);
    model.advance(next - milliseconds(2), true);
    EXPECT_EQ(blocks_taken(model), 0);
    // The rate drifts while one waits, so a block may need a second, much shorter wait.
    now = next;
    model.advance(now, true);
    for (int attempt = 0; attempt < 3 && !model.take_block(4096); ++attempt) {
      now = model.next_block(now, 4096);
      model.advance(now, true);
    }
    EXPECT_NEAR(std::chrono::duration<double>(now - kStart).count(), 0.32768 * (i + 1), 0.05);
  }
}

TEST(LinkModel, TheInitialStockIsThereAtOnceAndOnce) {
  SimOptions with_stock = options();
  with_stock.initial_bits = 10 * 32768 + 5;
  LinkModel model(with_stock, kStart);
  EXPECT_EQ(model.next_block(kStart, 4096), kStart);
  EXPECT_EQ(blocks_taken(model), 10);
  EXPECT_GT(model.next_block(kStart, 4096), kStart);
}

TEST(LinkModel, NothingAccruesWhileItDoesNotRunAndLittleIsSaved) {
  LinkModel model(options(), kStart);
  model.advance(kStart, false);
  model.advance(kStart + hours(1), true);
  EXPECT_EQ(blocks_taken(model), 0);
  model.advance(kStart + hours(2), true);
  EXPECT_LE(blocks_taken(model), 3);
}

TEST(LinkModel, DriftsButNeverFarFromItsMean) {
  const LinkModel model(options(), kStart);
  double least = 1;
  double most = 0;
  for (int i = 0; i < 1200; ++i) {
    const double qber = model.qber(kStart + seconds(i));
    least = std::min(least, qber);
    most = std::max(most, qber);
  }
  EXPECT_NEAR(least, 0.019 * 0.95, 1e-5);
  EXPECT_NEAR(most, 0.019 * 1.05, 1e-5);
}

TEST(LinkModel, AnEavesdropperRaisesQberUntilThereIsNoKey) {
  LinkModel model(options(), kStart);
  EXPECT_FALSE(model.aborted(kStart));
  const double quiet = model.skr_bit_s(kStart);
  model.set_intercepted(0.1);
  EXPECT_LT(model.skr_bit_s(kStart), quiet * 0.85);
  EXPECT_FALSE(model.aborted(kStart));
  model.set_intercepted(1);
  EXPECT_NEAR(model.qber(kStart), 0.25 + 0.019 / 2, 1e-9);
  EXPECT_TRUE(model.aborted(kStart));
  model.advance(kStart, true);
  model.advance(kStart + hours(1), true);
  EXPECT_EQ(blocks_taken(model), 0);
}

TEST(SimOptions, ReadsWhatTheConfigurationGives) {
  const std::array<struct quipu_option, 7> given = {{{"role", "bob"},
                                                     {"fibre", "[2001:db8::1]:8030"},
                                                     {"skr_bit_s", "2500.5"},
                                                     {"qber", "0.05"},
                                                     {"loss_db", "12"},
                                                     {"initial_bits", "0"},
                                                     {"block_octets", "1024"}}};
  const auto parsed = parse_options(given);
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->role, Role::bob);
  EXPECT_EQ(parsed->fibre.text(), "[2001:db8::1]:8030");
  EXPECT_EQ(parsed->skr_bit_s, 2500.5);
  EXPECT_EQ(parsed->qber, 0.05);
  EXPECT_EQ(parsed->block_octets, 1024U);
}

TEST(SimOptions, NamesWhatIsWrong) {
  const auto error_of = [](std::vector<struct quipu_option> extra) {
    extra.insert(extra.begin(), {{"role", "alice"}, {"fibre", "127.0.0.1:0"}});
    const auto parsed = parse_options(extra);
    return parsed ? std::string("none") : parsed.error().text;
  };
  EXPECT_EQ(error_of({}), "none");
  EXPECT_THAT(error_of({{"colour", "blue"}}), testing::HasSubstr("unknown option colour"));
  EXPECT_THAT(error_of({{"role", "alice"}}), testing::HasSubstr("role is given twice"));
  for (const char* rate : {"0", "-1", "1e10", "nan", "fast", "1 ", ""})
    EXPECT_THAT(error_of({{"skr_bit_s", rate}}), testing::HasSubstr("a number from 1 to 1e+09")) << rate;
  EXPECT_THAT(error_of({{"qber", "0.2"}}), testing::HasSubstr("from 0 to 0.1"));
  EXPECT_THAT(error_of({{"block_octets", "64.5"}}), testing::HasSubstr("whole number"));
  const std::array<struct quipu_option, 1> no_role = {{{"fibre", "127.0.0.1:1"}}};
  EXPECT_THAT(parse_options(no_role).error().text, testing::HasSubstr("role is missing"));
  const std::array<struct quipu_option, 2> no_port = {{{"role", "bob"}, {"fibre", "127.0.0.1:0"}}};
  EXPECT_THAT(parse_options(no_port).error().text, testing::HasSubstr("the port that Alice listens on"));
  const std::array<struct quipu_option, 2> no_address = {{{"role", "bob"}, {"fibre", "example.org:8030"}}};
  EXPECT_THAT(parse_options(no_address).error().text, testing::HasSubstr("ADDRESS:PORT"));
}

}  // namespace
}  // namespace quipu::sim
