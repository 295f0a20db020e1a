// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/encoding.h"
#include "cli/files.h"
#include "cli/verb.h"
#include "crypto/x25519.h"

namespace quipu::cli {
namespace {

constexpr std::size_t kMaxInput = 256;

std::string_view without_line_end(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r'))
    text.remove_suffix(1);
  return text;
}

Result<void> print_public_key(const std::string& file) {
  const std::string name = file.empty() ? "standard input" : file;
  QUIPU_TRY_ASSIGN(const SecretBytes input,
                   file.empty() ? read_to_end(STDIN_FILENO, name, kMaxInput) : read_whole_file(file, kMaxInput));
  const auto key = secret_from_base64(without_line_end(as_text(input.view())));
  if (!key || key->size() != crypto::kX25519Size)
    return fail(Errc::malformed,
                name + " is not a private key: one line of base64 that holds 32 octets, as 'quipu genkey' makes");
  const crypto::X25519PrivateKey private_key(std::span<const std::uint8_t, crypto::kX25519Size>(key->view()));
  fmt::print("{}\n", to_base64(crypto::x25519_public_key(private_key).value()));
  return {};
}

}  // namespace

void add_pubkey(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "pubkey", "Print the public key that belongs to a private key",
                            "Example: quipu pubkey /etc/quipu/credentials/device.key");
  auto file = std::make_shared<std::string>();
  verb.add_option("file", *file, "The private key; standard input when not given");
  on_run(verb, invocation, [file] { return finish(print_public_key(*file)); });
}

}  // namespace quipu::cli
