// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/fixed_rng.h"

namespace quipu::kms {
namespace {

class EntropyOfASource : public testing::Test {
 protected:
  Bytes good(std::size_t size) {
    Bytes out(size);
    std::ranges::generate(out, [&] { return static_cast<std::uint8_t>(m_random()); });
    return out;
  }

  std::ptrdiff_t reported(std::string_view event) const {
    return std::ranges::count_if(m_site.actions, [&](const Action& action) {
      const auto* report = std::get_if<Report>(&action);
      return report != nullptr && report->event == event;
    });
  }

  test::ScriptedRng m_rng{{}};
  Site m_site{{KmeId("a"), {}, {}, {}, {}}, m_rng, {}, {}, {}, SaeRates()};
  Entropy entropy{m_site};

 private:
  std::mt19937 m_random{1};
};

TEST_F(EntropyOfASource, NothingIsUsedBeforeTheStartUpTestHasPassed) {
  entropy.add(good(kStartUpSamples - 1));
  EXPECT_FALSE(entropy.has(1));
  EXPECT_EQ(entropy.status().state, EntropyState::testing);
  entropy.add(good(1));
  EXPECT_FALSE(entropy.has(1)) << "samples of the start-up test are not used";
  EXPECT_EQ(entropy.status().state, EntropyState::good);
  EXPECT_EQ(reported("relay_entropy_good"), 1);
  entropy.add(good(40));
  EXPECT_TRUE(entropy.has(40));
  EXPECT_FALSE(entropy.has(41));
}

TEST_F(EntropyOfASource, EachOctetMasksOneOtherAndNoMore) {
  entropy.add(good(kStartUpSamples));
  const Bytes octets = good(6);
  entropy.add(octets);
  Bytes out{0xff, 0xff, 0xff};
  entropy.mask(out);
  EXPECT_EQ(out, (Bytes{static_cast<std::uint8_t>(~octets[3]), static_cast<std::uint8_t>(~octets[4]),
                        static_cast<std::uint8_t>(~octets[5])}));
  out = {0, 0, 0};
  entropy.mask(out);
  EXPECT_EQ(out, Bytes(octets.begin(), octets.begin() + 3));
  EXPECT_FALSE(entropy.has(1));
  EXPECT_EQ(entropy.status().used_octets, 6U);
}

TEST_F(EntropyOfASource, TakesNoMoreThanItHasRoomFor) {
  EXPECT_EQ(entropy.room(), Entropy::kCapacity + kStartUpSamples);
  entropy.add(good(entropy.room()));
  EXPECT_EQ(entropy.room(), 0U);
  EXPECT_TRUE(entropy.has(Entropy::kCapacity));
}

TEST_F(EntropyOfASource, AFailureIsForGoodAndLeavesNothing) {
  entropy.add(good(kStartUpSamples + 100));
  Bytes stuck = good(50);
  stuck.resize(50 + kRepetitionCutoff, 3);
  entropy.add(stuck);
  EXPECT_EQ(entropy.status().state, EntropyState::failed);
  EXPECT_FALSE(entropy.has(1));
  EXPECT_EQ(entropy.room(), 0U);
  EXPECT_EQ(reported("relay_entropy_failed"), 1);
  entropy.restart();
  EXPECT_EQ(entropy.status().state, EntropyState::failed);
  EXPECT_EQ(entropy.room(), 0U);
}

TEST_F(EntropyOfASource, IsTestedAnewWhenItHasBeenGone) {
  entropy.add(good(kStartUpSamples + 100));
  entropy.restart();
  EXPECT_EQ(entropy.status().state, EntropyState::testing);
  EXPECT_TRUE(entropy.has(100)) << "what has passed stays";
  entropy.add(good(kStartUpSamples + 1));
  EXPECT_EQ(entropy.status().state, EntropyState::good);
  EXPECT_TRUE(entropy.has(101));
  EXPECT_FALSE(entropy.has(102));
}

}  // namespace
}  // namespace quipu::kms
