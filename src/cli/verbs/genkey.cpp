// SPDX-License-Identifier: Apache-2.0

#include "cli/key_output.h"
#include "cli/verb.h"
#include "crypto/x25519.h"

namespace quipu::cli {

void add_genkey(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "genkey", "Make a private key for [device] private_key_file");
  const auto out = add_key_output(verb);
  on_run(verb, invocation, [out] {
    crypto::SystemRng rng;
    return finish(put_out_key(crypto::generate_x25519(rng).view(), *out));
  });
}

}  // namespace quipu::cli
