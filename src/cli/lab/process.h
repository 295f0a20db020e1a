// SPDX-License-Identifier: Apache-2.0
// Programs started by the laboratory.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace quipu::cli::lab {

using Arguments = std::vector<std::string>;

// A process of ours, told apart from a later one with the same number by its start time (clock ticks since boot,
// /proc/PID/stat).
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
};

// Runs a program to its end, found by PATH, without a shell. An exit other than 0 is Errc::io with what it wrote to
// standard error.
Result<void> run_program(const Arguments& arguments);
// The same, but the exit status is the answer and what the program writes is thrown away.
Result<int> exit_status_of(const Arguments& arguments);

// Starts a program inside a network namespace (as `ip netns add` makes them) with both outputs appended to a file.
Result<ProcessId> start_in_namespace(const std::string& network_namespace, const Arguments& arguments,
                                     const std::string& log_file);
// All that run in a network namespace but the caller, by number; none when there is no such namespace.
std::vector<ProcessId> processes_in_namespace(const std::string& network_namespace);
// A zombie, which nobody has waited for, is not.
bool is_running(const ProcessId& process);
// SIGTERM, then SIGKILL once `patience` is over. A process that is gone already is no error; one that may not be
// signalled, or that has not ended after as much patience again, is.
Result<void> stop_process(const ProcessId& process, std::chrono::milliseconds patience);

}  // namespace quipu::cli::lab
