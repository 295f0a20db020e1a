// SPDX-License-Identifier: Apache-2.0
// What the programs of both daemons have in common before there is a daemon.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"

namespace CLI {
class App;
}

namespace quipu::service {

// Exit codes, as the units and the manual pages know them. After the last two the service manager does not start again.
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfigurationInvalid = 5;

// That of a start whose configuration, or a file that it names, cannot be used. What cannot be read may come late, as a
// mount does, and is worth another start; what is wrong in it is not.
int exit_code_of(const Error& error);

// First in main(): what this process inherits must not decide what becomes of it. A reader of its output that has gone
// ends it no more (SIGPIPE), a file that may not grow is an error like a full disk (SIGXFSZ), how its children end can
// be found out (SIGCHLD), and a standard descriptor that is closed is not the number of the next file or socket, into
// which errors would be written.
void settle_in();

// Adds --version and reads the command line. An exit code, when there is nothing more to do.
std::optional<int> parse_options(CLI::App& app, int argc, char** argv);

// "PROGRAM: what is wrong" on standard error, whether that can be written to or not. Returns the code.
int complain(std::string_view program, const Error& error, int code);

// What must hold for this process to touch a key, to be called before one is read: lock_down(), and the cryptography
// does what it should.
Result<void> prepare_for_secrets();
// The same for --check, which an admin runs from a shell.
Result<void> prepare_for_check();

}  // namespace quipu::service
