// SPDX-License-Identifier: Apache-2.0
// Files that the command line makes for an admin.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "base/result.h"
#include "base/secret.h"

namespace quipu::cli {

inline constexpr mode_t kSecretFileMode = 0600;
inline constexpr mode_t kPublicFileMode = 0644;

// Makes a file that must not exist yet, whole and durable before it gets its name: Errc::conflict when there is one.
// The octets go straight from the caller's memory to the kernel, so they may be a secret's.
Result<void> write_new_file(const std::filesystem::path& path, ByteView contents, mode_t mode);
// The secret's base64 text and a line feed, mode 0600.
Result<void> write_new_key_file(const std::filesystem::path& path, ByteView secret);

}  // namespace quipu::cli
