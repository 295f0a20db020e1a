// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/control_client.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

Result<void> permit(const std::string& socket, const std::string& peer) {
  QUIPU_TRY_ASSIGN(control::Reply reply, ask(socket, control::PermitStampJumpRequest{peer}));
  QUIPU_TRY(result_of(std::move(reply)));
  fmt::print("{}: one jump of stamps is permitted\n", peer);
  return {};
}

}  // namespace

void add_permit_stamp_jump(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(
      program, "permit-stamp-jump", "Let a peer whose stamps jumped connect again, once (root)",
      "What the log event stamp_jump_refused asks for: the counter of one of the two machines was restored from "
      "a backup,\nor taken over by a new machine. Say so only when you know why it jumped.");
  auto peer = std::make_shared<std::string>();
  verb.add_option("peer", *peer, "Name of the peer")->required();
  on_run(verb, invocation, [&invocation, peer] { return finish(permit(invocation.socket, *peer)); });
}

}  // namespace quipu::cli
