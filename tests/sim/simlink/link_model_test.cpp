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

}  // namespace
}  // namespace quipu::sim
