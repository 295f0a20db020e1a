// SPDX-License-Identifier: Apache-2.0
#include "plugins/sim/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <sstream>
#include <vector>

#include "plugins/sim/options_page.h"

namespace quipu::sim {
namespace {

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
    EXPECT_THAT(error_of({{"skr_bit_s", rate}}), testing::HasSubstr("a number from 1 to 1000000000 (bit/s)")) << rate;
  EXPECT_THAT(error_of({{"qber", "0.2"}}), testing::HasSubstr("from 0 to 0.1"));
  EXPECT_THAT(error_of({{"block_octets", "64.5"}}), testing::HasSubstr("a whole number from 32 to 16320 (octets)"));
  const std::array<struct quipu_option, 1> no_role = {{{"fibre", "127.0.0.1:1"}}};
  EXPECT_THAT(parse_options(no_role).error().text, testing::HasSubstr("role is missing: it has to be alice"));
  const std::array<struct quipu_option, 2> no_port = {{{"role", "bob"}, {"fibre", "127.0.0.1:0"}}};
  EXPECT_THAT(parse_options(no_port).error().text, testing::HasSubstr("the port that Alice listens on"));
  const std::array<struct quipu_option, 2> no_address = {{{"role", "bob"}, {"fibre", "example.org:8030"}}};
  EXPECT_THAT(parse_options(no_address).error().text, testing::HasSubstr("ADDRESS:PORT"));
}

TEST(SimOptions, TellsWhichOneIsWrong) {
  const auto index_of = [](std::vector<struct quipu_option> given) { return parse_options(given).error().index; };
  EXPECT_EQ(index_of({{"role", "alice"}, {"fibre", "127.0.0.1:0"}, {"qber", "2"}}), 2U);
  EXPECT_EQ(index_of({{"role", "alice"}, {"colour", "blue"}, {"fibre", "127.0.0.1:0"}}), 1U);
  EXPECT_EQ(index_of({{"fibre", "127.0.0.1:0"}, {"role", "bob"}}), 0U);
  EXPECT_EQ(index_of({{"role", "alice"}}), 1U) << "none of them";
}

TEST(SimOptions, HasEveryEndOfItsRanges) {
  for (const OptionEntry& entry : option_table()) {
    if (default_value(entry).empty()) continue;
    for (const double end : {entry.least, entry.most}) {
      const std::string key(entry.key);
      const std::string value = std::to_string(end);
      const std::array<struct quipu_option, 3> given = {
          {{"role", "alice"}, {"fibre", "127.0.0.1:0"}, {key.c_str(), value.c_str()}}};
      EXPECT_TRUE(parse_options(given)) << key << " = " << value;
    }
  }
}

TEST(SimOptions, AreThoseOfThePageInDocs) {
  std::ifstream file(QUIPU_SOURCE_DIR "/docs/driver-sim.md");
  std::stringstream page;
  page << file.rdbuf();
  const std::string made = QUIPU_BINARY_DIR "/driver-sim.md";
  std::ofstream(made) << options_page();
  EXPECT_EQ(page.str(), options_page()) << "make it anew: cp " << made << " docs/";
}

}  // namespace
}  // namespace quipu::sim
