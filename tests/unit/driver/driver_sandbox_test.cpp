// SPDX-License-Identifier: Apache-2.0
// What a driver cannot do outside its process. The sanitizers need the calls that the filter refuses.
#ifndef QUIPU_SANITIZED
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/unique_fd.h"
#include "host_run.h"
#include "support/scratch.h"

namespace quipu::driver {
namespace {

using testing::Contains;

TEST(DriverSandbox, TheDriverCannotStartProgramsOrTouchOthers) {
  HostRun run(config_of("good", {{"mode", "escape"}}));
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_THAT(run.recorder.lines, Contains("driver_log: fork 1 exec 1 core 0 kill 1 packet 1"));
}

// The kernel sends a descriptor's signal to any process of the same user id, quipu-kmsd among them.
TEST(DriverSandbox, TheDriverSignalsNobodyThroughADescriptor) {
  HostRun run(config_of("good", {{"mode", "signal"}}));
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_THAT(run.recorder.lines, Contains("driver_log: pair 1 fcntl 1 ioctl 1 works 1"));
}

TEST(DriverSandbox, TheDriverEmptiesNoFileThatItMayRead) {
  const test::Scratch folder;
  const std::string beside = folder.write("beside", "kept", 0600);
  DriverHostConfig config = config_of("good", {{"mode", "empty"}, {"folder", folder.root()}});
  std::filesystem::copy_file(config.plugin, folder.path("good.so"));
  config.plugin = folder.path("good.so");
  HostRun run(std::move(config));
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_THAT(run.recorder.lines, Contains("driver_log: read 1 empty 0"));
  EXPECT_EQ(std::filesystem::file_size(beside), 4U);
}

// Some daemon's socket in the file system.
UniqueFd listen_at(const std::string& path, int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_TRUE(type == SOCK_DGRAM || ::listen(fd.get(), 4) == 0);
  return fd;
}

TEST(DriverSandbox, TheDriverReachesNoFileOfItsHostAndNoSocket) {
  const test::Scratch folder;
  const std::string store = folder.write("store", "the key store", 0600);
  const UniqueFd stream = listen_at(folder.path("stream"), SOCK_STREAM);
  const UniqueFd datagram = listen_at(folder.path("datagram"), SOCK_DGRAM);
  HostRun run(config_of("good", {{"mode", "files"}, {"folder", folder.root()}}));
  ASSERT_TRUE(run.until_state(HostState::running));
  EXPECT_THAT(run.recorder.lines, Contains("driver_log: read 0 write 0 make 0 move 0 remove 0 list 0 memory 0 "
                                           "stream 0 datagram 0"));
  const std::string names = std::filesystem::exists("/etc/hosts") ? "1" : "0";  // a bare system has none
  EXPECT_THAT(run.recorder.lines,
              Contains("driver_log: libraries 1 certificates 1 names " + names + " random 1 pair 1"));
  EXPECT_TRUE(std::filesystem::exists(store));
}

// Below /run, in a view of the file system of its own: /etc/resolv.conf is a link to what NetworkManager writes there.
bool reads_what_the_network_manager_writes() {
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  if (::mount("none", "/run", "tmpfs", 0, nullptr) != 0) return false;
  const std::string folder = "/run/NetworkManager";
  if (!std::filesystem::create_directory(folder)) return false;
  std::ofstream(folder + "/beside") << "nameserver 192.0.2.53\n";
  HostRun run(config_of("good", {{"mode", "empty"}, {"folder", folder}}));
  return run.until_state(HostState::running) &&
         std::ranges::count(run.recorder.lines, "driver_log: read 1 empty 0") == 1;
}

TEST(DriverSandbox, TheDriverReadsWhatResolvConfMayLinkTo) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0) ::_exit(2);
    ::_exit(reads_what_the_network_manager_writes() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) GTEST_SKIP() << "a view of its own takes root";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace quipu::driver
#endif
