// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/process.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/unique_fd.h"

namespace quipu::cli::lab {
namespace {

std::uint64_t start_time(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::istream_iterator<std::string> field(file);
  return std::strtoull(std::next(field, 21)->c_str(), nullptr, 10);
}

// System calls only: the child of a program that may have threads.
[[noreturn]] void end_in_a_child_that_nobody_waits_for(int told) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const pid_t child = ::fork();
  if (child == 0) _exit(0);
  siginfo_t ended{};
  ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT);
  if (::write(told, &child, sizeof child) == sizeof child) ::pause();
  _exit(1);
}

// As the daemons of a laboratory are where nothing reaps what the program that started it has left.
TEST(LabProcess, AZombieDoesNotRun) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd told(ends[0]);
  const UniqueFd tells(ends[1]);
  const pid_t parent = ::fork();
  if (parent == 0) end_in_a_child_that_nobody_waits_for(tells.get());
  pid_t zombie = 0;
  ASSERT_EQ(::read(told.get(), &zombie, sizeof zombie), static_cast<ssize_t>(sizeof zombie));
  EXPECT_TRUE(is_running({parent, start_time(parent)}));
  EXPECT_FALSE(is_running({parent, start_time(parent) + 1})) << "another one of that number";
  EXPECT_FALSE(is_running({zombie, start_time(zombie)}));
  EXPECT_TRUE(stop_process({parent, start_time(parent)}, std::chrono::minutes(1)).has_value());
}

}  // namespace
}  // namespace quipu::cli::lab
