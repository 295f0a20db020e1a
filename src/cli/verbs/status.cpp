// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "cli/control_client.h"
#include "cli/status_text.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

// What a daemon said, or nothing if none was ever started here.
Result<std::optional<std::string>> ask_status(const std::string& socket) {
  auto reply = ask(socket, control::StatusRequest{});
  if (!reply && reply.error().code == Errc::not_found) return std::nullopt;
  if (!reply) return std::unexpected(std::move(reply).error());
  return result_of(*std::move(reply));
}

template <class Status>
Result<ExitCode> judge_and_show(const std::optional<std::string>& json, Result<Status> (*read)(std::string_view),
                                bool show) {
  if (!json) return ExitCode::ok;
  QUIPU_TRY_ASSIGN(const Status status, read(*json));
  if (show) fmt::print("{}", to_text(status));
  return judge(status);
}

// A daemon that is expected and does not answer counts as down.
ExitCode report_down(const Error& error) {
  report(error);
  return ExitCode::down;
}

ExitCode show(const Invocation& invocation, bool as_json) {
  const auto device = ask_status(invocation.socket);
  const auto kms = ask_status(invocation.kms_socket);
  ExitCode outcome = ExitCode::ok;
  for (const auto* asked : {&device, &kms})
    if (!*asked) outcome = graver(outcome, report_down(asked->error()));
  const std::optional<std::string> device_json = device.value_or(std::nullopt);
  const std::optional<std::string> kms_json = kms.value_or(std::nullopt);
  if (device && kms && !device_json && !kms_json)
    return report_down({Errc::unavailable, "neither " + invocation.socket + " nor " + invocation.kms_socket +
                                               " exists: no daemon is running here; 'systemctl start quipud'"});
  const auto device_outcome = judge_and_show(device_json, control::device_status_from_json, !as_json);
  if (!device_outcome) return report(device_outcome.error());
  const auto kms_outcome = judge_and_show(kms_json, control::kms_status_from_json, !as_json);
  if (!kms_outcome) return report(kms_outcome.error());
  if (as_json)
    fmt::print("{{\"schema_version\":{},\"device\":{},\"kms\":{}}}\n", control::kSchemaVersion,
               device_json.value_or("null"), kms_json.value_or("null"));
  return graver(outcome, graver(*device_outcome, *kms_outcome));
}

}  // namespace

void add_status(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "status", "Show tunnels, keys and links of this site",
                            "Exit code: 0 all well; 3 degraded: some tunnels or links are down, or keys run short; 4 "
                            "down;\n6 a tunnel is blocked because its policy wants keys that are not there.");
  auto as_json = std::make_shared<bool>(false);
  verb.add_flag("--json", *as_json,
                "As one line of JSON: {\"schema_version\", \"device\", \"kms\"}, null for a daemon that does not run");
  on_run(verb, invocation, [&invocation, as_json] { return show(invocation, *as_json); });
}

}  // namespace quipu::cli
