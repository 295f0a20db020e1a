// SPDX-License-Identifier: Apache-2.0
// Each test starts the real quipu-driver with a tiny driver (plugins/test_driver.c). Time stands still unless a test
// moves it, so no test waits for a back-off or a timeout.
#include "driver/driver_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "driver/channel.h"
#include "driver/child_process.h"
#include "driver/messages.h"
#include "host_run.h"
#include "support/scratch.h"

namespace quipu::driver {
namespace {

using testing::Contains;
using testing::HasSubstr;

TEST(DriverHost, DeliversBlocksIntoLockedMemory) {
  HostRun run(config_of("good", {{"blocks", "3"}}));
  ASSERT_TRUE(run.until([&] { return run.recorder.blocks.size() == 3; }));
  for (std::size_t i = 0; i < 3; ++i) {
    const DriverBlock& block = run.recorder.blocks[i];
    EXPECT_EQ(block.sequence, i);
    EXPECT_TRUE(block.simulated);
    EXPECT_FALSE(block.failure_probability);
    EXPECT_EQ(block.created, WallTime(std::chrono::milliseconds(1700000000000)));
    EXPECT_EQ(block.key.size(), 100U);
    EXPECT_TRUE(block.key == SecretBytes::copy_of(Bytes(100, static_cast<std::uint8_t>(i + 1))));
  }
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_EQ(run.host.status().identity->name, "test");
  EXPECT_TRUE(run.host.status().identity->simulated);
}

TEST(DriverHost, ReportsTelemetryWithAbsentFieldsAbsent) {
  HostRun run(config_of("good"));
  ASSERT_TRUE(run.until_telemetry());
  const DriverTelemetry& telemetry = *run.host.status().telemetry;
  EXPECT_EQ(telemetry.state, DeviceState::running);
  EXPECT_EQ(telemetry.qber, 0.02);
  EXPECT_EQ(telemetry.blocks_delivered, 0U);
  EXPECT_FALSE(telemetry.skr_bit_s || telemetry.visibility || telemetry.loss_db);
  EXPECT_EQ(telemetry.detail, "sequence?0");  // the tab would break a status screen
}

TEST(DriverHost, HoldsTheDriverBackUntilBlocksAreAcknowledged) {
  DriverHostConfig config = config_of("good", {{"blocks", "10"}});
  config.window = 4;
  HostRun run(std::move(config));
  // The first telemetry follows everything that start delivered.
  ASSERT_TRUE(run.until_telemetry());
  EXPECT_EQ(run.recorder.blocks.size(), 4U);
  run.host.acknowledge(2);
  ASSERT_TRUE(run.until([&] { return run.recorder.blocks.size() == 6; }));
  run.host.acknowledge(4);
  ASSERT_TRUE(run.until([&] { return run.recorder.blocks.size() == 10; }));
  for (std::size_t i = 0; i < 10; ++i)
    EXPECT_EQ(run.recorder.blocks[i].sequence, i);
}

TEST(DriverHost, CarriesPeerMessagesBothWays) {
  HostRun run(config_of("good"));
  ASSERT_TRUE(run.until_state(HostState::running));
  const Bytes large(65536, 0x5a);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(run.host.send_peer_message(large));
  ASSERT_TRUE(run.until([&] { return run.recorder.peer_messages.size() == 3; }));
  EXPECT_TRUE(run.recorder.peer_messages[2] == SecretBytes::copy_of(large));
  EXPECT_EQ(run.host.send_peer_message(Bytes(65537)).error().code, Errc::too_large);
}

TEST(DriverHost, HoldsPeerMessagesBackAtTheWindow) {
  DriverHostConfig config = config_of("good", {{"messages", "10"}});
  config.window = 4;
  HostRun run(std::move(config));
  ASSERT_TRUE(run.until_telemetry());
  EXPECT_EQ(run.recorder.peer_messages.size(), 4U);
  run.host.acknowledge(2);
  ASSERT_TRUE(run.until([&] { return run.recorder.peer_messages.size() == 6; }));
  run.host.acknowledge(4);
  ASSERT_TRUE(run.until([&] { return run.recorder.peer_messages.size() == 10; }));
  for (std::size_t i = 0; i < 10; ++i)
    EXPECT_EQ(ByteReader(run.recorder.peer_messages[i].view()).u32(), i);
}

TEST(DriverHost, EndsADriverThatFloodsItsPeer) {
  HostRun run(config_of("good", {{"mode", "flood"}}));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("more than its window"));
  EXPECT_LE(run.recorder.peer_messages.size(), 16U);
}

TEST(DriverHost, LogsThatADriverRefusesAPeerMessage) {
  HostRun run(config_of("good"));
  ASSERT_TRUE(run.until_state(HostState::running));
  ASSERT_TRUE(run.host.send_peer_message(as_bytes("refuse")));
  const std::string refusal = "driver_request: peer message: not possible in this state";
  ASSERT_TRUE(run.until([&] { return !run.recorder.lines.empty() && run.recorder.lines.back() == refusal; }));
  EXPECT_TRUE(run.recorder.peer_messages.empty());
}

TEST(DriverHost, CarriesNoPeerMessageToADriverThatTakesNone) {
  HostRun run(config_of("real"));
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_FALSE(run.host.status().identity->simulated);
  EXPECT_EQ(run.host.send_peer_message(Bytes(1)).error().code, Errc::unsupported);
}

TEST(DriverHost, RefusesASimulatedDriverUnlessItIsPermitted) {
  DriverHostConfig config = config_of("good", {{"blocks", "1"}});
  config.allow_simulated = false;
  HostRun run(std::move(config));
  ASSERT_TRUE(run.until_state(HostState::failed));
  EXPECT_THAT(run.problem(), HasSubstr("allow_simulated = true"));
  EXPECT_TRUE(run.recorder.blocks.empty());
  EXPECT_FALSE(run.host.next_deadline());
}

// A link with one of these would run, and stay without keys.
TEST(DriverHost, RefusesADriverThatSuppliesSomethingElseThanKeysAsTheyArise) {
  for (const auto& [plugin, reason] :
       {std::pair{"only_pull", "gives keys only when asked"}, std::pair{"only_entropy", "supplies random octets"},
        std::pair{"also_entropy", "supplies random octets"}}) {
    HostRun run(config_of(plugin));
    ASSERT_TRUE(run.until_state(HostState::failed)) << plugin;
    EXPECT_THAT(run.problem(), HasSubstr(reason));
    EXPECT_FALSE(run.host.next_deadline());
  }
}

struct Unloadable {
  const char* plugin;
  const char* sentence;
};

class DriverHostRefusal : public testing::TestWithParam<Unloadable> {};

TEST_P(DriverHostRefusal, SaysInASentenceWhyAPluginCannotBeUsed) {
  HostRun run(config_of(GetParam().plugin));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr(GetParam().sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Plugins, DriverHostRefusal,
    testing::Values(Unloadable{"future_abi", "was made for driver ABI 2 and this is ABI 1: install"},
                    Unloadable{"short_struct", "describes itself in 64 octets"},
                    Unloadable{"no_symbol", "is not a Quipu driver"}, Unloadable{"no_pull", "lacks a function"},
                    Unloadable{"no_such_file", "cannot be loaded"}),
    [](const auto& test) { return std::string(test.param.plugin); });

TEST(DriverHost, AWrongOptionIsNotTriedAgain) {
  HostRun run(config_of("good", {{"colour", "blue"}}));
  ASSERT_TRUE(run.until_state(HostState::failed));
  EXPECT_THAT(run.problem(), HasSubstr("an option is unknown, missing or wrong"));
  EXPECT_THAT(run.recorder.lines, Contains("driver_log: unknown option"));
}

TEST(DriverHost, TheLastWordsOfADriverAreHeardAfterManyOthers) {
  HostRun run(config_of("good", {{"mode", "talk"}}));
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(*run.host.pid()), &info, WEXITED | WNOWAIT), 0);
  run.host.handle_readable(run.now);
  EXPECT_EQ(run.host.status().state, HostState::failed);
  EXPECT_THAT(run.problem(), HasSubstr("an option is unknown, missing or wrong"));
}

TEST(DriverHost, AMissingProgramIsTriedAgain) {
  const test::Scratch folder;
  DriverHostConfig config = config_of("good");
  config.program = folder.path("quipu-driver");
  HostRun run(std::move(config));
  EXPECT_EQ(run.host.status().state, HostState::backoff);
  EXPECT_THAT(run.problem(), HasSubstr("starting " + folder.path("quipu-driver") + ": No such file"));
  EXPECT_THAT(run.recorder.lines, Contains(HasSubstr("driver_not_started: starting")));
  for (const int delay : {500, 1000, 2000}) {
    EXPECT_EQ(*run.host.next_deadline() - run.now, std::chrono::milliseconds(delay));
    run.pass_deadline();
  }
  EXPECT_EQ(run.host.status().restarts, 4U);
  // As when a package is being replaced.
  std::filesystem::create_symlink(QUIPU_BINARY_DIR "/bin/quipu-driver", folder.path("quipu-driver"));
  run.pass_deadline();
  EXPECT_TRUE(run.until_state(HostState::running));
}

TEST(DriverHost, AMissingPluginIsTriedAgain) {
  const test::Scratch folder;
  DriverHostConfig config = config_of("good");
  const std::string plugin = std::exchange(config.plugin, folder.path("good.so"));
  HostRun run(std::move(config));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  std::filesystem::copy_file(plugin, folder.path("good.so"));
  run.pass_deadline();
  EXPECT_TRUE(run.until_state(HostState::running));
}

TEST(DriverHost, APluginUnderAnotherNameIsNotUsed) {
  DriverHostConfig config = config_of("good");
  config.driver = "qkd-device";
  HostRun run(std::move(config));
  ASSERT_TRUE(run.until_state(HostState::failed));
  EXPECT_THAT(run.problem(),
              HasSubstr("good.so holds the driver \"test\", and the configuration names \"qkd-device\""));
  EXPECT_FALSE(run.host.next_deadline());
}

TEST(DriverHost, OptionsBeyondTheHeaderFileAreNotTriedAtAll) {
  Options many;
  for (int i = 0; i < 65; ++i)
    many.emplace_back("option" + std::to_string(i), "");
  HostRun too_many(config_of("good", std::move(many)));
  EXPECT_EQ(too_many.host.status().state, HostState::failed);
  EXPECT_EQ(too_many.problem(), "a link has at most 64 options");
  HostRun too_long(config_of("good", {{"colour", std::string(1025, 'b')}}));
  EXPECT_EQ(too_long.host.status().state, HostState::failed);
  EXPECT_EQ(too_long.problem(), "option colour is longer than 1024 octets");
  HostRun too_large(config_of("good", Options(64, {std::string(100, 'a'), std::string(1000, 'b')})));
  EXPECT_EQ(too_large.host.status().state, HostState::failed);
  EXPECT_FALSE(too_large.host.next_deadline());
}

// A quipu-kmsd that runs on after its package was replaced starts the new quipu-driver.
TEST(DriverProgram, TellsAHostOfAnotherVersionToRestart) {
  auto child = ChildProcess::spawn(QUIPU_BINARY_DIR "/bin/quipu-driver", QUIPU_BINARY_DIR "/test-drivers/good.so");
  ASSERT_TRUE(child) << child.error().text;
  Channel channel(child->socket(), Direction::from_driver);
  ASSERT_TRUE(channel.send(FrameType::open, Bytes{0, 0, 0, 99, 'w', 'h', 'o', ' ', 'k', 'n', 'o', 'w', 's'}));
  Result<std::optional<Frame>> frame = std::nullopt;
  while (frame && !*frame) {
    pollfd waiting{child->socket(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, -1), 1);
    frame = channel.receive();
  }
  ASSERT_TRUE(frame) << frame.error().text;
  ASSERT_EQ((*frame)->type, FrameType::failed);
  const auto outcome = parse_outcome((*frame)->body.view());
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->permanent);
  EXPECT_THAT(outcome->text, HasSubstr("different versions (frames 3 and 99): restart quipu-kmsd"));
}

TEST(DriverHost, StartsAgainWithGrowingDelaysWhenTheDeviceIsAbsent) {
  HostRun run(config_of("good", {{"mode", "absent"}}));
  const std::array expected = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
  for (const int delay : expected) {
    ASSERT_TRUE(run.until_state(HostState::backoff));
    EXPECT_THAT(run.problem(), HasSubstr("the device does not answer"));
    EXPECT_EQ(*run.host.next_deadline() - run.now, std::chrono::milliseconds(delay));
    run.pass_deadline();
    ASSERT_EQ(run.host.status().state, HostState::starting);
  }
  EXPECT_EQ(run.host.status().restarts, expected.size());
}

TEST(DriverHost, RestartsAfterAKill) {
  HostRun run(config_of("good", {{"blocks", "2"}}));
  ASSERT_TRUE(run.until_telemetry());
  ASSERT_EQ(::kill(*run.host.pid(), SIGKILL), 0);
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("signal 9"));
  EXPECT_FALSE(run.host.pid());
  EXPECT_EQ(run.host.send_peer_message(Bytes(1)).error().code, Errc::unavailable);
  run.pass_deadline();
  ASSERT_TRUE(run.until([&] { return run.recorder.blocks.size() == 4; }));
  // Blocks of the process before are acknowledged late: they give its successor no credit.
  run.host.acknowledge(4);
}

TEST(DriverHost, RestartsAfterACrash) {
  HostRun run(config_of("good", {{"mode", "crash"}}));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("ended: signal 9"));
}

TEST(DriverHost, RestartsAfterAnExit) {
  HostRun run(config_of("good", {{"mode", "exit"}}));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("ended: exit status 7"));
}

TEST(DriverHost, KillsADriverThatHangs) {
  HostRun run(config_of("good", {{"mode", "hang"}}));
  ASSERT_TRUE(run.until_state(HostState::running));
  run.pass_deadline();  // half of the time: suspected
  EXPECT_EQ(run.host.status().state, HostState::running);
  run.pass_deadline();
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("no sign of life"));
}

TEST(DriverHost, ALateWakeUpOfTheHostItselfKillsNobody) {
  HostRun run(config_of("good"));
  ASSERT_TRUE(run.until_telemetry());
  for (int i = 0; i < 3; ++i) {  // as after a suspend: the deadline is long past, and a sign of life waits or will come
    run.now += std::chrono::hours(1);
    run.host.handle_deadline(run.now);
    ASSERT_TRUE(run.host.send_peer_message(Bytes(1)));
    const std::size_t answers = run.recorder.peer_messages.size();
    ASSERT_TRUE(run.until([&] { return run.recorder.peer_messages.size() > answers; }));
  }
  EXPECT_EQ(run.host.status().state, HostState::running);
}

TEST(DriverHost, EndsADriverThatSendsGarbage) {
  HostRun run(config_of("good", {{"mode", "garbage"}}));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("a frame of unknown type 110"));
}

TEST(DriverHost, EndsADriverThatSendsAHugeFrame) {
  HostRun run(config_of("good", {{"mode", "huge"}}));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  EXPECT_THAT(run.problem(), HasSubstr("a frame of 2147483647 octets"));
}

TEST(DriverHost, RefusesABlockThatLiesAboutBeingSimulated) {
  HostRun run(config_of("good", {{"mode", "wrong_flag"}, {"blocks", "1"}}));
  ASSERT_TRUE(run.until_telemetry());
  EXPECT_TRUE(run.recorder.blocks.empty());
  EXPECT_THAT(run.recorder.lines, Contains(HasSubstr("a wrong simulated flag")));
}

TEST(DriverHost, StopsWhenAsked) {
  HostRun run(config_of("good"));
  ASSERT_TRUE(run.until_state(HostState::running));
  run.host.stop(run.now);
  ASSERT_TRUE(run.until_state(HostState::stopped));
  EXPECT_EQ(run.problem(), "");
  EXPECT_FALSE(run.host.next_deadline());
  run.host.start(run.now);
  ASSERT_TRUE(run.until_state(HostState::running));
}

TEST(DriverHost, KillsADriverThatDoesNotStop) {
  HostRun run(config_of("good", {{"mode", "never_close"}}));
  ASSERT_TRUE(run.until_state(HostState::running));
  run.host.stop(run.now);
  run.pass_deadline();
  ASSERT_TRUE(run.until_state(HostState::stopped));
  EXPECT_THAT(run.problem(), HasSubstr("did not stop when asked"));
}

TEST(DriverHost, StoppingDuringBackoffStaysStopped) {
  HostRun run(config_of("good", {{"mode", "absent"}}));
  ASSERT_TRUE(run.until_state(HostState::backoff));
  run.host.stop(run.now);
  EXPECT_EQ(run.host.status().state, HostState::stopped);
  EXPECT_FALSE(run.host.next_deadline());
}

TEST(DriverHost, TheProcessEndsWithTheHost) {
  int pid = 0;
  {
    HostRun run(config_of("good"));
    ASSERT_TRUE(run.until_state(HostState::running));
    pid = *run.host.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(DriverHost, TheDriverInheritsOnlyItsSocket) {
  HostRun run(config_of("good", {{"mode", "descriptors"}}));
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_THAT(run.recorder.lines, Contains("driver_log: descriptors 0 1 2 3"));
}

}  // namespace
}  // namespace quipu::driver
