// SPDX-License-Identifier: Apache-2.0
#include "config/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "config/key_table.h"
#include "config/types.h"

namespace quipu::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Reference, IsThePageInDocs) {
  std::ifstream file(QUIPU_SOURCE_DIR "/docs/configuration.md");
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), reference()) << "make it anew: quipu check --reference > docs/configuration.md";
}

TEST(Reference, HasEveryKeyWithAllThatIsKnownAboutIt) {
  for (const auto keys : {quipud_keys(), kmsd_keys()})
    for (const ConfigKey& key : keys) {
      if (key.name == "NAME" && key.type == KeyType::table) continue;
      EXPECT_THAT(reference(), HasSubstr("| `" + std::string(key.name) + "` |")) << key.section;
      EXPECT_THAT(reference(), HasSubstr("| " + std::string(key.help) + " |")) << key.name;
    }
  EXPECT_THAT(reference(), HasSubstr("| `rekey_interval_s` | integer | 1 to 3600 s | `10` |"));
  EXPECT_THAT(reference(), HasSubstr("| `log_level` | one of `error`, `warning`, `info`, `debug` |  | `\"info\"` |"));
  EXPECT_THAT(reference(), HasSubstr("| `addresses` | list of text | 1 to 64 elements | required |"));
  EXPECT_THAT(reference(), HasSubstr("### `sources` in `[[peer]]`"));
  EXPECT_THAT(reference(), HasSubstr("### `[kms.NAME]`"));
}

TEST(TopLevelNames, AreThoseOfTheText) {
  EXPECT_THAT(*top_level_names("# x\n  [ kme ]\nid = 1\n[[peer]]\na.b = 1\n"), ElementsAre("kme", "peer"));
  EXPECT_THAT(*top_level_names("kms.local.url = 1"), ElementsAre("kms"));
  EXPECT_THAT(*top_level_names("# nothing"), IsEmpty());
  EXPECT_FALSE(top_level_names("[nonsense").has_value());
}

}  // namespace
}  // namespace quipu::config
