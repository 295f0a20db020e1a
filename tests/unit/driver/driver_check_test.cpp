// SPDX-License-Identifier: Apache-2.0
// The real quipu-driver with a tiny driver (plugins/test_driver.c), asked about its options.
#include "driver/driver_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_run.h"

namespace quipu::driver {
namespace {

using testing::HasSubstr;
using Part = CheckRefusal::Part;

void expect_refusal(const DriverHostConfig& config, Part part, const std::optional<std::string>& option,
                    const std::string& reason) {
  const auto checked = check_driver(config);
  ASSERT_FALSE(checked) << reason;
  EXPECT_EQ(checked.error().part, part) << checked.error().reason;
  EXPECT_EQ(checked.error().option, option) << checked.error().reason;
  EXPECT_THAT(checked.error().reason, HasSubstr(reason));
}

// A device that is "absent" cannot be opened: nobody has tried.
TEST(DriverCheck, AcceptsGoodOptionsWithoutOpeningTheDevice) {
  const auto checked = check_driver(config_of("good", {{"mode", "absent"}}));
  ASSERT_TRUE(checked) << checked.error().reason;
  EXPECT_TRUE(checked->options_checked);
  EXPECT_EQ(checked->identity.name, "test");
}

TEST(DriverCheck, NamesTheWrongOption) {
  expect_refusal(config_of("good", {{"blocks", "1"}, {"colour", "blue"}, {"mode", "x"}}), Part::options, "colour",
                 "driver test: unknown option");
  expect_refusal(config_of("good", {{"blocks", "1"}}), Part::options, std::nullopt, "driver test: mode is missing");
  expect_refusal(config_of("good", {{"colour", std::string(1025, 'b')}}), Part::options, std::nullopt,
                 "option colour is longer than 1024 octets");
}

TEST(DriverCheck, SaysThatADriverKnowsOnlyWhenItOpensItsDevice) {
  const auto checked = check_driver(config_of("real", {{"colour", "blue"}}));
  ASSERT_TRUE(checked) << checked.error().reason;
  EXPECT_FALSE(checked->options_checked);
}

TEST(DriverCheck, RefusesWhatADriverHostWouldRefuse) {
  DriverHostConfig simulated = config_of("good", {{"mode", "x"}});
  simulated.allow_simulated = false;
  expect_refusal(simulated, Part::allow_simulated, std::nullopt, "allow_simulated = true");
  DriverHostConfig other = config_of("good", {{"mode", "x"}});
  other.driver = "qkd-device";
  expect_refusal(other, Part::driver, std::nullopt, "holds the driver \"test\"");
  expect_refusal(config_of("future_abi", {}), Part::driver, std::nullopt, "was made for driver ABI 2");
  expect_refusal(config_of("no_such_file", {}), Part::driver, std::nullopt, "cannot be loaded");
  expect_refusal(config_of("only_pull", {}), Part::driver, std::nullopt, "gives keys only when asked");
  expect_refusal(config_of("only_entropy", {}), Part::driver, std::nullopt, "supplies random octets");
  expect_refusal(config_of("also_entropy", {}), Part::driver, std::nullopt, "supplies random octets");
  DriverHostConfig no_program = config_of("good", {});
  no_program.program = "/nowhere/quipu-driver";
  expect_refusal(no_program, Part::driver, std::nullopt, "starting /nowhere/quipu-driver");
}

TEST(DriverCheck, OutlivesADriverThatCrashesOrHangs) {
  expect_refusal(config_of("good", {{"mode", "crash"}}), Part::driver, std::nullopt, "ended: signal 9");
  const auto hung = check_driver(config_of("good", {{"mode", "hang"}}), std::chrono::milliseconds(50));
  ASSERT_FALSE(hung);
  EXPECT_THAT(hung.error().reason, HasSubstr("does not answer"));
}

TEST(DriverCheck, EndsADriverThatNeverStopsTalking) {
  const auto talking = check_driver(config_of("good", {{"mode", "chatter"}}), std::chrono::milliseconds(50));
  ASSERT_FALSE(talking);
  EXPECT_THAT(talking.error().reason, HasSubstr("does not answer"));
}

TEST(DriverCheck, KeepsOnlySoManyReasons) {
  const auto verbose = check_driver(config_of("good", {{"mode", "verbose"}}), std::chrono::minutes(1));
  ASSERT_FALSE(verbose);
  EXPECT_EQ(verbose.error().part, Part::options);
  EXPECT_THAT(verbose.error().reason, HasSubstr("a reason among many; a reason among many"));
  EXPECT_LT(verbose.error().reason.size(), 6000U);
}

}  // namespace
}  // namespace quipu::driver
