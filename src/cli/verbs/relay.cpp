// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/control_client.h"
#include "cli/status_text.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

ExitCode routes(const std::string& socket, bool as_json) {
  const auto reply = ask(socket, control::RelayRoutesRequest{});
  if (!reply) return report(reply.error());
  const auto json = result_of(*reply);
  if (!json) return report(json.error());
  const auto status = control::relay_status_from_json(*json);
  if (!status) return report(status.error());
  fmt::print("{}", as_json ? *json + "\n" : to_text(*status));
  return judge(*status);
}

}  // namespace

void add_relay(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "relay", "Key that comes over trusted nodes");
  verb.require_subcommand(1);
  CLI::App& shown =
      add_verb(verb, "routes", "Show the path of each pool that is fed by relay, and the links' stocks",
               "Exit code: 0 all is well; 3 nothing is relayed into some pool, or the entropy source is not good.");
  auto as_json = std::make_shared<bool>(false);
  shown.add_flag("--json", *as_json, "As one line of JSON");
  on_run(shown, invocation, [&invocation, as_json] { return routes(invocation.kms_socket, *as_json); });
}

}  // namespace quipu::cli
