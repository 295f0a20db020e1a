// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/control_client.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

Result<void> rekey(const std::string& socket, const std::string& peer, bool as_json) {
  control::RekeyRequest request;
  if (!peer.empty()) request.peer = peer;
  QUIPU_TRY_ASSIGN(control::Reply reply, ask(socket, request));
  QUIPU_TRY_ASSIGN(const std::string json, result_of(std::move(reply)));
  if (as_json) {
    fmt::print("{}\n", json);
    return {};
  }
  QUIPU_TRY_ASSIGN(const control::RekeyResult result, control::rekey_result_from_json(json));
  for (const control::RekeyedPeer& done : result.rekeys) {
    fmt::print("{}: rekeyed", done.peer);
    if (done.latency_ms) fmt::print(" in {:.1f} ms", *done.latency_ms);
    fmt::print("{}\n", done.key_prefetched ? "" : ", after waiting for a KMS");
  }
  return {};
}

}  // namespace

void add_rekey(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "rekey", "Replace the keys of a tunnel, or of all tunnels, now (root)");
  auto peer = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  verb.add_option("peer", *peer, "Name of the peer; all peers when not given");
  verb.add_flag("--json", *as_json, "As one line of JSON");
  on_run(verb, invocation, [&invocation, peer, as_json] { return finish(rekey(invocation.socket, *peer, *as_json)); });
}

}  // namespace quipu::cli
