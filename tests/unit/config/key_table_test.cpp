// SPDX-License-Identifier: Apache-2.0
#include "config/key_table.h"

#include <gtest/gtest.h>

#include <charconv>
#include <set>

#include "config/quipud_config.h"
#include "samples.h"

namespace quipu::config {
namespace {

class KeyTable : public testing::TestWithParam<std::span<const ConfigKey>> {};

TEST_P(KeyTable, EveryKeyIsNamedOnceAndExplained) {
  std::set<std::string> seen;
  for (const ConfigKey& key : GetParam()) {
    const std::string path = std::string(key.section) + "/" + std::string(key.name);
    EXPECT_TRUE(seen.insert(path).second) << path;
    EXPECT_TRUE(key.help.ends_with('.')) << path;
    EXPECT_FALSE(key.required && !key.default_value.empty()) << path;
    EXPECT_EQ(key.type == KeyType::word, !key.words.empty()) << path;
  }
}

TEST_P(KeyTable, DefaultsAreOfTheirTypeAndInRange) {
  for (const ConfigKey& key : GetParam()) {
    if (key.default_value.empty()) continue;
    const std::string_view text = key.default_value;
    if (key.type == KeyType::integer) {
      std::int64_t value = -1;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      EXPECT_TRUE(error == std::errc{} && end == text.data() + text.size()) << key.name;
      EXPECT_TRUE(value >= key.min && value <= key.max) << key.name;
    } else if (key.type == KeyType::boolean) {
      EXPECT_TRUE(text == "true" || text == "false") << key.name;
    } else if (key.type == KeyType::word) {
      EXPECT_THAT(" " + std::string(key.words) + " ", testing::HasSubstr(" " + std::string(text) + " ")) << key.name;
    }
  }
}

// A number at either end of its range is taken by the parser and one beyond is not: the table is what parsing uses.
TEST(KeyTableInUse, RangesComeFromTheTable) {
  for (const ConfigKey& key : quipud_keys()) {
    if (key.type != KeyType::integer || key.section != "device") continue;
    const auto parse = [&](std::int64_t value) {
      std::string text = with(kQuipudSample, "listen_port = 51900\n", "");
      text = with(text, "[device]\n", "[device]\n" + std::string(key.name) + " = " + std::to_string(value) + "\n");
      return parse_quipud(text).has_value();
    };
    EXPECT_TRUE(parse(key.min)) << key.name;
    EXPECT_TRUE(parse(key.max)) << key.name;
    EXPECT_FALSE(parse(key.min - 1)) << key.name;
    EXPECT_FALSE(parse(key.max + 1)) << key.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, KeyTable, testing::Values(quipud_keys(), kmsd_keys()));

}  // namespace
}  // namespace quipu::config
