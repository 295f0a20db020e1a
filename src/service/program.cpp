// SPDX-License-Identifier: Apache-2.0
#include "service/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <tuple>

#include "base/version.h"
#include "crypto/self_test.h"
#include "service/lock_down.h"

namespace quipu::service {

int exit_code_of(const Error& error) {
  return error.code == Errc::io ? kExitFailure : kExitConfigurationInvalid;
}

std::optional<int> parse_options(CLI::App& app, int argc, char** argv) {
  app.set_version_flag("--version", kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version arrive here too, as success.
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

void settle_in() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(standard, F_GETFD) < 0) std::ignore = ::open("/dev/null", O_RDWR);  // takes the lowest number there is
}

int complain(std::string_view program, const Error& error, int code) {
  const std::string_view text = error.text.empty() ? to_string(error.code) : std::string_view(error.text);
  // Unlike fmt::print(), this does not throw where nothing can be written.
  std::fputs(fmt::format("{}: {}\n", program, text).c_str(), stderr);
  return code;
}

Result<void> prepare_for_secrets() {
  QUIPU_TRY(lock_down());
  return crypto::self_test();
}

Result<void> prepare_for_check() {
  auto ready = prepare_for_secrets();
  if (!ready && ready.error().code == Errc::not_permitted && ::geteuid() != 0)
    return fail(Errc::not_permitted,
                "--check reads the keys that the configuration names, which are root's: run it as root, or with sudo");
  return ready;
}

}  // namespace quipu::service
