// SPDX-License-Identifier: Apache-2.0
// lock_down, signals, service manager and machine: each in a process of its own where it changes the process.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/unique_fd.h"
#include "service/lock_down.h"
#include "service/machine.h"
#include "service/notify.h"
#include "service/program.h"
#include "service/signals.h"
#include "support/scratch.h"

namespace quipu::service {
using test::Environment;
using test::Scratch;

namespace {

// Runs `body` in a child process; true when it returned true.
template <class Body>
bool in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(LockDown, LeavesNoWayForSecretsToTheDisk) {
  if (::geteuid() != 0) GTEST_SKIP() << "to lock all memory needs root";
  EXPECT_TRUE(in_child([] {
    if (!lock_down()) return false;
    rlimit core{1, 1};
    const bool no_core = ::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0;
    return no_core && ::prctl(PR_GET_DUMPABLE) == 0 && ::umask(0) == 0077;
  }));
}

TEST(SettleIn, LeavesNothingToWhatIsInherited) {
  EXPECT_TRUE(in_child([] {
    std::signal(SIGCHLD, SIG_IGN);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
      ::close(standard);
    settle_in();
    const UniqueFd next(::open("/dev/null", O_RDONLY));
    const bool not_standard = next.get() > STDERR_FILENO;
    return not_standard && ::raise(SIGPIPE) == 0 && ::raise(SIGXFSZ) == 0 && in_child([] { return true; });
  }));
}

TEST(Signals, AreReadFromTheDescriptor) {
  EXPECT_TRUE(in_child([] {
    auto source = SignalSource::create();
    if (!source || source->next()) return false;
    for (const auto& [number, wanted] :
         {std::pair{SIGHUP, Signal::reload}, {SIGTERM, Signal::terminate}, {SIGINT, Signal::terminate}}) {
      pollfd poll{.fd = source->fd(), .events = POLLIN, .revents = 0};
      if (::kill(::getpid(), number) != 0 || ::poll(&poll, 1, -1) != 1 || source->next() != wanted) return false;
    }
    return !source->next();
  }));
}

TEST(Notify, SpeaksToTheServiceManagersSocket) {
  const Scratch scratch;
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = scratch.path("notify");
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const Environment environment("NOTIFY_SOCKET", path);
  const auto received = [&] {
    std::string text(512, '\0');
    text.resize(
        static_cast<std::size_t>(std::max<ssize_t>(::recv(manager.get(), text.data(), text.size(), MSG_DONTWAIT), 0)));
    return text;
  };
  notify_ready();
  EXPECT_EQ(received(), "READY=1");
  notify_reloading();
  EXPECT_THAT(received(), testing::StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  notify_status("1 of 2 up\nREADY=1");
  EXPECT_EQ(received(), "STATUS=1 of 2 up READY=1");
  notify_stopping();
  EXPECT_EQ(received(), "STOPPING=1");
  notify_watchdog();
  EXPECT_EQ(received(), "WATCHDOG=1");
}

TEST(Machine, IsTheSameFromOneReadingToTheNext) {
  const auto first = read_machine_state();
  ASSERT_TRUE(first.has_value()) << first.error().text;
  EXPECT_NE(first->boot_id, Uuid{});
  EXPECT_EQ(read_machine_state(), first);
}

TEST(Machine, IsToldWhenNoDescriptorIsLeft) {
  const auto first = read_machine_state();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(read_machine_state(), first);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(Machine, KnowsTheAnnouncementOfANewGeneration) {
  using namespace std::string_view_literals;
  EXPECT_TRUE(
      announces_new_generation("change@/devices/platform/VMGENCTR:00\0ACTION=change\0NEW_VMGENID=1\0SEQNUM=7\0"sv));
  EXPECT_TRUE(announces_new_generation("NEW_VMGENID=1"sv));
  for (const std::string_view message :
       {""sv, "\0\0"sv, "ACTION=change\0NEW_VMGENID=10\0"sv, "SYNTH_ARG_NEW_VMGENID=1\0"sv, "NEW_VMGENID\0=1"sv})
    EXPECT_FALSE(announces_new_generation(message));
}

}  // namespace
}  // namespace quipu::service
