// SPDX-License-Identifier: Apache-2.0
// Files that the command line reads, and those that it makes for an admin.
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
// The same under a name that may be taken: whoever reads it gets the old file or the new one, whole. The name is
// durable as well.
Result<void> replace_file(const std::filesystem::path& path, ByteView contents, mode_t mode);
// Moves a file, of any length and from another file system too, to a name that must not exist yet: whole and durable
// before the old name goes. Errc::conflict as above. Whoever named the file to us is `owner`, and gets nothing moved
// but a regular file of its own, in a folder of its own or of root's: else Errc::not_permitted.
Result<void> move_to_new_file(const std::filesystem::path& from, uid_t owner, const std::filesystem::path& to,
                              mode_t mode);
// The secret's base64 text and a line feed, mode 0600.
Result<void> write_new_key_file(const std::filesystem::path& path, ByteView secret);

// The same line to an open descriptor; `name` is what an error calls it.
Result<void> write_key_line(int fd, ByteView secret, const std::string& name);

// Everything up to the end of the file, in locked memory: any file may turn out to hold a key. Errc::too_large beyond
// `max` octets.
Result<SecretBytes> read_to_end(int fd, const std::string& name, std::size_t max);
Result<SecretBytes> read_whole_file(const std::filesystem::path& path, std::size_t max);

}  // namespace quipu::cli
