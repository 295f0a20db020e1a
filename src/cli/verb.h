// SPDX-License-Identifier: Apache-2.0
// A verb of `quipu` is one file of src/cli/verbs: it adds its options to the program and says what to do.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"

namespace CLI {
class App;
}

namespace quipu::cli {

// The same for every verb, and documented in the help of the program.
enum class ExitCode : int {
  ok = 0,
  error = 1,
  usage = 2,
  degraded = 3,
  down = 4,
  config_invalid = 5,
  policy_block = 6,
};

// Options of the program itself, and how the verb ended.
struct Invocation {
  std::string socket = "/run/quipu/control.sock";          // quipud's
  std::string kms_socket = "/run/quipu-kms/control.sock";  // quipu-kmsd's
  bool socket_given = false;                               // on the command line: that daemon is meant to run
  bool kms_socket_given = false;
  ExitCode outcome = ExitCode::ok;
};

// To standard error, whether that can be written to or not: how a verb ends does not depend on it.
template <class... Values>
void complain(fmt::format_string<Values...> text, Values&&... values) {
  std::fputs(fmt::format(text, std::forward<Values>(values)...).c_str(), stderr);
}

// Complains "quipu: TEXT".
ExitCode report(const Error& error);

// The same of what the command line alone shows to be wrong: nothing was asked or changed.
ExitCode misused(const Error& error);

// ok, or the error reported.
ExitCode finish(const Result<void>& result);

// Adds a verb whose options the caller goes on to add: `summary` stands in the list of verbs, `details` at the end of
// its own help. `run` is called once the options are parsed.
CLI::App& add_verb(CLI::App& program, const std::string& name, const std::string& summary,
                   const std::string& details = {});
void on_run(CLI::App& verb, Invocation& invocation, std::function<ExitCode()> run);

using AddVerb = void (*)(CLI::App& program, Invocation& invocation);
// In the order of the help.
std::span<const AddVerb> all_verbs();

void add_genkey(CLI::App& program, Invocation& invocation);
void add_pubkey(CLI::App& program, Invocation& invocation);
void add_genpsk(CLI::App& program, Invocation& invocation);
void add_pki(CLI::App& program, Invocation& invocation);
void add_check(CLI::App& program, Invocation& invocation);
void add_status(CLI::App& program, Invocation& invocation);
void add_rekey(CLI::App& program, Invocation& invocation);
void add_permit_stamp_jump(CLI::App& program, Invocation& invocation);
void add_reload(CLI::App& program, Invocation& invocation);
void add_keys(CLI::App& program, Invocation& invocation);
void add_kms(CLI::App& program, Invocation& invocation);
void add_relay(CLI::App& program, Invocation& invocation);
void add_lab(CLI::App& program, Invocation& invocation);
void add_version(CLI::App& program, Invocation& invocation);

}  // namespace quipu::cli
