// SPDX-License-Identifier: Apache-2.0
#include "driver/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace quipu::driver {
namespace {

// Resets what the program would inherit besides descriptors.
class SpawnSettings {
 public:
  explicit SpawnSettings(int socket) {
    ::posix_spawn_file_actions_init(&m_actions);
    // In this order: the socket may have one of the low numbers itself.
    ::posix_spawn_file_actions_adddup2(&m_actions, socket, kDriverSocket);
    ::posix_spawn_file_actions_addopen(&m_actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&m_actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
#ifndef QUIPU_SANITIZED  // whose reports are wanted
    ::posix_spawn_file_actions_addopen(&m_actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#endif
    ::posix_spawn_file_actions_addclosefrom_np(&m_actions, kDriverSocket + 1);
    ::posix_spawnattr_init(&m_attributes);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&m_attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&m_attributes, &signals);
    // A group of its own, so that Ctrl-C at a terminal leaves its end to us.
    ::posix_spawnattr_setpgroup(&m_attributes, 0);
    ::posix_spawnattr_setflags(&m_attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }

  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&m_actions);
    ::posix_spawnattr_destroy(&m_attributes);
  }

  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  int spawn(pid_t& pid, const std::string& program, const std::string& argument) const {
    std::string name = program;
    std::string first = argument;
    const std::array<char*, 3> arguments = {name.data(), first.data(), nullptr};
    const std::array<char*, 1> environment = {nullptr};
    return ::posix_spawn(&pid, program.c_str(), &m_actions, &m_attributes, arguments.data(), environment.data());
  }

 private:
  posix_spawn_file_actions_t m_actions{};
  posix_spawnattr_t m_attributes{};
};

int open_pidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

std::string describe(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return "exit status " + std::to_string(info.si_status);
  const char* name = ::sigdescr_np(info.si_status);
  return "signal " + std::to_string(info.si_status) + ": " + (name != nullptr ? name : "unknown");
}

}  // namespace

ChildProcess::ChildProcess(int pid, UniqueFd pidfd, UniqueFd socket)
    : m_pid(pid), m_pidfd(std::move(pidfd)), m_socket(std::move(socket)) {}

Result<ChildProcess> ChildProcess::spawn(const std::string& program, const std::string& argument) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return fail_system("a socketpair");
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return fail_system("a socketpair");
  pid_t pid = -1;
  if (const int error = SpawnSettings(theirs.get()).spawn(pid, program, argument); error != 0)
    return fail_system("starting " + program, error);
  UniqueFd pidfd(open_pidfd(pid));
  if (!pidfd) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail_system("watching " + program, error);
  }
  return ChildProcess(pid, std::move(pidfd), std::move(ours));
}

ChildProcess::~ChildProcess() {
  if (!m_pidfd) return;
  kill();
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(m_pidfd.get()), &info, WEXITED) != 0 && errno == EINTR) {
  }
}

void ChildProcess::kill() {
  if (m_pidfd) ::syscall(SYS_pidfd_send_signal, m_pidfd.get(), SIGKILL, nullptr, 0);
}

std::optional<std::string> ChildProcess::reap() {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(m_pidfd.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
    return std::nullopt;
  m_pidfd.reset();
  return describe(info);
}

}  // namespace quipu::driver
