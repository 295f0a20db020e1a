// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/unique_fd.h"

namespace quipu::cli::lab {
namespace {

std::vector<char*> argument_pointers(const Arguments& arguments) {
  std::vector<char*> out;
  for (const std::string& argument : arguments)
    out.push_back(const_cast<char*>(argument.c_str()));
  out.push_back(nullptr);
  return out;
}

// Reads a pipe to its end; more than 4 KiB of complaint helps nobody.
std::string drain(int fd) {
  std::string text;
  std::array<char, 512> room{};
  for (ssize_t n = 0; (n = ::read(fd, room.data(), room.size())) > 0;)
    if (text.size() < 4096) text.append(room.data(), static_cast<std::size_t>(n));
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

struct Finished {
  int status;
  std::string complaint;
};

Result<Finished> run_to_end(const Arguments& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_system("pipe");
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), 2);
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, arguments[0].c_str(), &actions, nullptr, argument_pointers(arguments).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_system(arguments[0], error);
  writing.reset();
  std::string complaint = drain(reading.get());
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return fail_system("waitpid");
  return Finished{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), std::move(complaint)};
}

// Field 22 of /proc/PID/stat; 0 when there is no such process, or by field 3 only a zombie of it. The name in field 2
// may hold spaces, but not after the last ')'.
std::uint64_t start_time_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return 0;
  for (int i = 4; i <= 22; ++i)
    fields >> field;
  return field.empty() ? 0 : std::strtoull(field.c_str(), nullptr, 10);
}

// In the child, between fork and exec: system calls only. Never returns.
[[noreturn]] void exec_in_namespace(int namespace_fd, int log_fd, char* const* arguments) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd >= 0 && ::setns(namespace_fd, CLONE_NEWNET) == 0 && ::setsid() >= 0 && ::dup2(null_fd, 0) == 0 &&
      ::dup2(log_fd, 1) == 1 && ::dup2(log_fd, 2) == 2)
    ::execv(arguments[0], arguments);
  _exit(127);
}

}  // namespace

Result<void> run_program(const Arguments& arguments) {
  QUIPU_TRY_ASSIGN(const Finished finished, run_to_end(arguments));
  if (finished.status == 0) return {};
  std::string command;
  for (const std::string& argument : arguments)
    command += (command.empty() ? "" : " ") + argument;
  return fail(Errc::io,
              "'" + command + "' failed (exit " + std::to_string(finished.status) + "): " + finished.complaint);
}

Result<int> exit_status_of(const Arguments& arguments) {
  QUIPU_TRY_ASSIGN(const Finished finished, run_to_end(arguments));
  return finished.status;
}

Result<ProcessId> start_in_namespace(const std::string& network_namespace, const Arguments& arguments,
                                     const std::string& log_file) {
  const std::string namespace_path = "/run/netns/" + network_namespace;
  const UniqueFd namespace_fd(::open(namespace_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!namespace_fd) return fail_system(namespace_path);
  const UniqueFd log_fd(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log_fd) return fail_system(log_file);
  if (::access(arguments[0].c_str(), X_OK) != 0) return fail_system(arguments[0]);
  const std::vector<char*> pointers = argument_pointers(arguments);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_system("fork");
  if (pid == 0) exec_in_namespace(namespace_fd.get(), log_fd.get(), pointers.data());
  return ProcessId{pid, start_time_of(pid)};
}

std::vector<ProcessId> processes_in_namespace(const std::string& network_namespace) {
  std::vector<ProcessId> out;
  struct stat wanted{};
  if (::stat(("/run/netns/" + network_namespace).c_str(), &wanted) != 0) return out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const pid_t pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    struct stat own{};
    if (pid <= 0 || pid == ::getpid() || ::stat((entry.path() / "ns/net").c_str(), &own) != 0) continue;
    if (own.st_dev == wanted.st_dev && own.st_ino == wanted.st_ino) out.push_back({pid, start_time_of(pid)});
  }
  std::ranges::sort(out, {}, &ProcessId::pid);
  return out;
}

bool is_running(const ProcessId& process) {
  return process.pid > 0 && start_time_of(process.pid) == process.start_time && process.start_time != 0;
}

Result<void> stop_process(const ProcessId& process, std::chrono::milliseconds patience) {
  // The descriptor is opened before the identity is checked: from then on the number cannot be given to another
  // process.
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!handle || !is_running(process)) return {};
  const std::string name = "process " + std::to_string(process.pid);
  bool ended = false;
  for (const int signal : {SIGTERM, SIGKILL}) {
    if (::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0) != 0 && errno != ESRCH)
      return fail_system(name);
    pollfd waiting{handle.get(), POLLIN, 0};
    ended = ::poll(&waiting, 1, static_cast<int>(patience.count())) > 0;
    if (ended) break;
  }
  ::waitpid(process.pid, nullptr, WNOHANG);
  return ended ? Result<void>() : Result<void>(fail(Errc::timeout, name + " does not end, not even by SIGKILL"));
}

}  // namespace quipu::cli::lab
