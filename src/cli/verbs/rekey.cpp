// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/control_client.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

// A wait that exceeds two rekeys by no more than this is not mentioned: the peer's first packet comes after the rekey,
// and takes as long as that on a long path.
constexpr double kAtOnceMs = 100;

std::string to_text(const control::RekeyedPeer& done) {
  if (!done.latency_ms) return "rekeyed by the peer, which knows how long it took";
  std::string text = fmt::format("rekeyed in {:.1f} ms", *done.latency_ms);
  if (!done.key_prefetched) text += ", after waiting for a KMS";
  if (done.since_asked_ms - 2 * *done.latency_ms > kAtOnceMs)
    text += fmt::format("; {:.1f} s since it was asked for", done.since_asked_ms / 1000);
  return text;
}

// All that were asked for, or an error.
Result<bool> rekey(const std::string& socket, const std::string& peer, bool as_json) {
  control::RekeyRequest request;
  if (!peer.empty()) request.peer = peer;
  QUIPU_TRY_ASSIGN(control::Reply reply, ask(socket, request));
  QUIPU_TRY_ASSIGN(const std::string json, result_of(std::move(reply)));
  QUIPU_TRY_ASSIGN(const control::RekeyResult result, control::rekey_result_from_json(json));
  if (as_json) {
    fmt::print("{}\n", json);
    return result.failed.empty();
  }
  for (const control::RekeyedPeer& done : result.rekeys)
    fmt::print("{}: {}\n", done.peer, to_text(done));
  for (const control::UnrekeyedPeer& failed : result.failed)
    complain("{}: not rekeyed: {}\n", failed.peer, failed.reason);
  return result.failed.empty();
}

ExitCode rekey_and_judge(const std::string& socket, const std::string& peer, bool as_json) {
  const auto all_done = rekey(socket, peer, as_json);
  if (!all_done) return report(all_done.error());
  return *all_done ? ExitCode::ok : ExitCode::error;
}

}  // namespace

void add_rekey(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "rekey", "Replace the keys of a tunnel, or of all tunnels, now (root)");
  auto peer = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  verb.add_option("peer", *peer, "Name of the peer; all peers when not given");
  verb.add_flag("--json", *as_json, "As one line of JSON");
  on_run(verb, invocation,
         [&invocation, peer, as_json] { return rekey_and_judge(invocation.socket, *peer, *as_json); });
}

}  // namespace quipu::cli
