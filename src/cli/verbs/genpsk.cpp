// SPDX-License-Identifier: Apache-2.0

#include "cli/key_output.h"
#include "cli/verb.h"
#include "crypto/rng.h"

namespace quipu::cli {

void add_genpsk(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "genpsk", "Make 32 random octets for psk_file or store_key_file",
                            "A pre-shared key is the same at both ends: carry it there by hand.");
  const auto out = add_key_output(verb);
  on_run(verb, invocation, [out] {
    crypto::SystemRng rng;
    Secret<32> key;
    rng.fill(key.mutable_view());
    return finish(put_out_key(key.view(), *out));
  });
}

}  // namespace quipu::cli
