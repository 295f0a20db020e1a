// SPDX-License-Identifier: Apache-2.0
#include "cli/verb.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

namespace quipu::cli {

ExitCode report(const Error& error) {
  complain("quipu: {}\n", error.text.empty() ? to_string(error.code) : std::string_view(error.text));
  return ExitCode::error;
}

ExitCode misused(const Error& error) {
  report(error);
  return ExitCode::usage;
}

ExitCode finish(const Result<void>& result) {
  return result ? ExitCode::ok : report(result.error());
}

CLI::App& add_verb(CLI::App& program, const std::string& name, const std::string& summary, const std::string& details) {
  CLI::App& verb = *program.add_subcommand(name, summary);
  verb.footer(details);
  // Options of the program may stand behind the verb as well.
  verb.fallthrough();
  return verb;
}

void on_run(CLI::App& verb, Invocation& invocation, std::function<ExitCode()> run) {
  verb.callback([&invocation, run = std::move(run)] { invocation.outcome = run(); });
}

std::span<const AddVerb> all_verbs() {
  static constexpr AddVerb kVerbs[] = {add_status, add_rekey,  add_reload, add_permit_stamp_jump,
                                       add_check,  add_genkey, add_pubkey, add_genpsk,
                                       add_pki,    add_keys,   add_kms,    add_relay,
                                       add_lab,    add_version};
  return kVerbs;
}

}  // namespace quipu::cli
