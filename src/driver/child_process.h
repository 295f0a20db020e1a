// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace quipu::driver {

// The descriptor number at which the started program finds its end of the socketpair.
inline constexpr int kDriverSocket = 3;

// One started program that has inherited nothing but a socket (its standard streams are /dev/null, its environment is
// empty). Killed and waited for when this ends.
class ChildProcess {
 public:
  // Runs `program argument`. The text of an error names the program.
  static Result<ChildProcess> spawn(const std::string& program, const std::string& argument);
  ChildProcess(ChildProcess&&) noexcept = default;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  int pid() const { return m_pid; }

  // Readable once the program has ended.
  int exit_fd() const { return m_pidfd.get(); }

  // Non-blocking stream; -1 once closed.
  int socket() const { return m_socket.get(); }

  void close_socket() { m_socket.reset(); }

  void kill();

  // How it ended, for people ("exit status 1", "signal 11: Segmentation fault"); empty while it runs.
  std::optional<std::string> reap();

 private:
  ChildProcess(int pid, UniqueFd pidfd, UniqueFd socket);

  int m_pid;
  UniqueFd m_pidfd;  // empty once reaped
  UniqueFd m_socket;
};

}  // namespace quipu::driver
