// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace quipu::config {
namespace {

using testing::HasSubstr;

std::string systemd_unit(std::string_view daemon) {
  std::ifstream file(fmt::format(QUIPU_SOURCE_DIR "/systemd/{}.service", daemon));
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Units, AreThoseOfThePackages) {
  for (const Unit& unit : kUnits) {
    const std::string text = systemd_unit(unit.daemon);
    EXPECT_THAT(text,
                HasSubstr(fmt::format("\nExecStart=/usr/sbin/{} --config {}\n", unit.daemon, unit.configuration)));
    EXPECT_THAT(text, HasSubstr(fmt::format("\nUser={}\n", unit.user)));
    EXPECT_THAT(text, HasSubstr(fmt::format("\nGroup={}\n", unit.user)));  // the user's own in /etc/passwd, too
    EXPECT_THAT(text, HasSubstr("\nProtectHome=yes\n"));
    EXPECT_THAT(text, HasSubstr("\nPrivateTmp=yes\n"));
    EXPECT_THAT(text, HasSubstr(fmt::format("\nSupplementaryGroups={}\n", kControlGroup)));
    ASSERT_TRUE(unit.credential_prefix.ends_with('_'));
    const std::string_view id = unit.credential_prefix.substr(0, unit.credential_prefix.size() - 1);
    EXPECT_THAT(text, HasSubstr(fmt::format("\nLoadCredential={}:{}\n", id, unit.credential_folder)));
  }
}

TEST(Units, TheGuardReadsWhatTheDaemonReads) {
  const std::string text = systemd_unit("quipu-guard");
  EXPECT_THAT(text, HasSubstr(fmt::format("\nUser={}\n", kQuipudUnit.user)));
  EXPECT_THAT(text, HasSubstr(fmt::format(" --guard --config {}\n", kQuipudUnit.configuration)));
}

}  // namespace
}  // namespace quipu::config
