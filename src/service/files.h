// SPDX-License-Identifier: Apache-2.0
// Files that configuration names: by absolute path, or "credential:NAME" for a systemd credential
// ($CREDENTIALS_DIRECTORY/NAME).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "service/unit_user.h"

namespace quipu::service {

bool is_credential(std::string_view name);

// The path behind a name. Without a service manager a credential lies where the units load it from; an error when they
// have none of this name, or when one is there that this name is short for.
Result<std::string> resolve_file(std::string_view name);

// The folder for what outlives a run, as the service manager gives it (of several the first); else `fallback`.
std::string state_directory(std::string fallback);

// The octets of a regular file of at most `max` octets, for configuration and lists.
Result<std::string> read_text_file(std::string_view name, std::size_t max);

// The same for certificates, in locked memory: a PEM file may hold its private key as well.
Result<SecretBytes> read_certificate_file(std::string_view name, std::size_t max);

// The octets of a private file, in locked memory from the first read on. Refused when others than its owner may read
// or write it, or when its owner is neither root nor this process's user. Where root only checks what `reader` will
// read, a file that is named by its path may belong to that user, and is refused if that user cannot read it.
Result<SecretBytes> read_secret_file(std::string_view name, std::size_t max, const UnitUser* reader = nullptr);

// A private file that holds one line of base64, decoding to exactly `size` octets, which are not all alike.
Result<SecretBytes> read_key_file(std::string_view name, std::size_t size, const UnitUser* reader = nullptr);

template <std::size_t N>
Result<Secret<N>> read_key_file(std::string_view name, const UnitUser* reader = nullptr) {
  QUIPU_TRY_ASSIGN(const SecretBytes bytes, read_key_file(name, N, reader));
  return Secret<N>(std::span<const std::uint8_t, N>(bytes.view()));
}

}  // namespace quipu::service
