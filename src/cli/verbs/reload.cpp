// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/control_client.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

void print(std::string_view what, const std::vector<std::string>& names) {
  if (!names.empty()) fmt::print("{}: {}\n", what, fmt::join(names, ", "));
}

// A configuration that the daemon refuses leaves the old one in force.
ExitCode reload(const std::string& socket, std::chrono::milliseconds patience, bool as_json) {
  const auto reply = ask(socket, control::ReloadRequest{}, patience);
  if (!reply) return report(reply.error());
  const auto json = result_of(*reply);
  if (!json) {
    report(json.error());
    return std::get<control::ReplyError>(*reply).code == to_string(Errc::malformed) ? ExitCode::config_invalid
                                                                                    : ExitCode::error;
  }
  if (as_json) {
    fmt::print("{}\n", *json);
    return ExitCode::ok;
  }
  const auto result = control::reload_result_from_json(*json);
  if (!result) return report(result.error());
  print("added", result->added);
  print("removed", result->removed);
  print("changed", result->changed);
  print("takes effect at the next start", result->needs_restart);
  print("no longer protected, routed in clear from now on", result->unprotected);
  if (*result == control::ReloadResult{}) fmt::print("nothing has changed\n");
  return ExitCode::ok;
}

}  // namespace

void add_reload(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "reload", "Have a daemon read its configuration again (root)",
                            "Tunnels that the new configuration does not change go on untouched.\nExit code 5: the new "
                            "one is invalid, and the old one stays in force.");
  auto kms = std::make_shared<bool>(false);
  auto as_json = std::make_shared<bool>(false);
  verb.add_flag("--kms", *kms, "Ask quipu-kmsd instead");
  verb.add_flag("--json", *as_json, "As one line of JSON");
  on_run(verb, invocation, [&invocation, kms, as_json] {
    // With a new store key the KMS works through its store first.
    return *kms ? reload(invocation.kms_socket, kWorkPatience, *as_json)
                : reload(invocation.socket, kControlPatience, *as_json);
  });
}

}  // namespace quipu::cli
