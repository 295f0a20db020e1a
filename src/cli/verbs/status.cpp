// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cli/control_client.h"
#include "cli/status_text.h"
#include "cli/verb.h"
#include "config/units.h"

namespace quipu::cli {
namespace {

// A daemon that is configured here, or that the caller names, is meant to run. Its socket goes when it stops.
bool is_expected(bool socket_given, const config::Unit& unit) {
  std::error_code unreadable;
  return socket_given || std::filesystem::exists(unit.configuration, unreadable);
}

// What a daemon said, or nothing if there is none on this machine.
Result<std::optional<std::string>> ask_status(const std::string& socket, bool expected) {
  auto reply = ask(socket, control::StatusRequest{});
  if (!reply && reply.error().code == Errc::not_found && !expected) return std::nullopt;
  if (!reply) return std::unexpected(std::move(reply).error());
  return result_of(*std::move(reply));
}

// Either daemon answers the same verb, with fields of its own.
Result<control::DeviceStatus> read_device(std::string_view json, const std::string& socket) {
  QUIPU_TRY_ASSIGN(control::DeviceStatus status, control::device_status_from_json(json));
  if (!status.public_key.empty()) return status;
  return fail(Errc::malformed,
              socket + ": it is not quipud that answers there; quipu-kmsd's socket goes to --kms-socket");
}

Result<control::KmsStatus> read_kms(std::string_view json, const std::string& socket) {
  QUIPU_TRY_ASSIGN(control::KmsStatus status, control::kms_status_from_json(json));
  if (!status.kme.empty()) return status;
  return fail(Errc::malformed, socket + ": it is not quipu-kmsd that answers there; quipud's socket goes to --socket");
}

// Shows what a daemon said and adds its judgement to `outcome`. What cannot be read is reported, and then `json` holds
// nothing.
template <class Status>
void show(std::optional<std::string>& json, Result<Status> (*read)(std::string_view, const std::string&),
          const std::string& socket, bool as_text, ExitCode& outcome) {
  if (!json) return;
  const Result<Status> status = read(*json, socket);
  if (status && as_text) fmt::print("{}", to_text(*status));
  outcome = graver(outcome, status ? judge(*status) : report(status.error()));
  if (!status) json.reset();
}

// A daemon that does not answer counts as down; one that we may not ask says nothing either way.
ExitCode report_silence(const Error& error) {
  report(error);
  return error.code == Errc::not_permitted ? ExitCode::error : ExitCode::down;
}

ExitCode ask_and_show(const Invocation& invocation, bool as_json) {
  const auto device = ask_status(invocation.socket, is_expected(invocation.socket_given, config::kQuipudUnit));
  const auto kms = ask_status(invocation.kms_socket, is_expected(invocation.kms_socket_given, config::kKmsdUnit));
  ExitCode outcome = ExitCode::ok;
  for (const auto* asked : {&device, &kms})
    if (!*asked) outcome = graver(outcome, report_silence(asked->error()));
  std::optional<std::string> device_json = device.value_or(std::nullopt);
  std::optional<std::string> kms_json = kms.value_or(std::nullopt);
  if (device && kms && !device_json && !kms_json)
    return report_silence(
        {Errc::unavailable,
         fmt::format("no daemon is configured here: there is neither {} nor {}, and no daemon's socket",
                     config::kQuipudUnit.configuration, config::kKmsdUnit.configuration)});
  show(device_json, read_device, invocation.socket, !as_json, outcome);
  show(kms_json, read_kms, invocation.kms_socket, !as_json, outcome);
  if (as_json)
    fmt::print("{{\"schema_version\":{},\"device\":{},\"kms\":{}}}\n", control::kSchemaVersion,
               device_json.value_or("null"), kms_json.value_or("null"));
  return outcome;
}

}  // namespace

void add_status(CLI::App& program, Invocation& invocation) {
  CLI::App& verb =
      add_verb(program, "status", "Show tunnels, keys and links of this site",
               "Exit code: 0 all well, idle tunnels included; 1 an error, such as not permitted to ask; 3 degraded: "
               "something works and\nhas a fault; 4 down, or a daemon that is configured here does not answer; 6 a "
               "tunnel is blocked because its policy wants\nkeys that are not there. Of both daemons the gravest, from "
               "mild to grave 0, 3, 1, 4, 6. quipu(1) says what each counts.");
  auto as_json = std::make_shared<bool>(false);
  verb.add_flag("--json", *as_json,
                "As one line of JSON: {\"schema_version\", \"device\", \"kms\"}, null for a daemon that gives none");
  on_run(verb, invocation, [&invocation, as_json] { return ask_and_show(invocation, *as_json); });
}

}  // namespace quipu::cli
