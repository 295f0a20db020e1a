// SPDX-License-Identifier: Apache-2.0
#include "service/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

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

int complain(std::string_view program, const Error& error, int code) {
  fmt::print(stderr, "{}: {}\n", program, error.text.empty() ? to_string(error.code) : std::string_view(error.text));
  return code;
}

Result<void> prepare_for_secrets() {
  QUIPU_TRY(lock_down());
  return crypto::self_test();
}

}  // namespace quipu::service
