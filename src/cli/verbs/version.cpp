// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>

#include "base/version.h"
#include "cli/verb.h"

namespace quipu::cli {

void add_version(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "version", "Print the version");
  on_run(verb, invocation, [] {
    fmt::print("quipu {}\n", kVersion);
    return ExitCode::ok;
  });
}

}  // namespace quipu::cli
