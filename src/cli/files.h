// SPDX-License-Identifier: Apache-2.0
// Files that the command line reads, and those that it makes for an admin.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "base/result.h"
#include "base/secret.h"
#include "base/unique_fd.h"

namespace quipu::cli {

inline constexpr mode_t kSecretFileMode = 0600;
inline constexpr mode_t kPublicFileMode = 0644;

// Makes a file that must not exist yet, whole and durable before it gets its name: Errc::conflict when there is one.
// The octets go straight from the caller's memory to the kernel, so they may be a secret's.
Result<void> write_new_file(const std::filesystem::path& path, ByteView contents, mode_t mode);
// The same under a name that may be taken: whoever reads it gets the old file or the new one, whole. The name is
// durable as well.
Result<void> replace_file(const std::filesystem::path& path, ByteView contents, mode_t mode);

// A file that is made, empty, before the work whose result it shall hold: what is in its way shows at once. It is gone
// with this object unless it was filled, or its name is another file's meanwhile.
class NewFile {
 public:
  // Errc::conflict as above.
  static Result<NewFile> create(std::filesystem::path path, mode_t mode);

  NewFile(NewFile&&) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  // Moves what a file holds here, of any length and from another file system too: whole and durable before the old name
  // goes, which goes as well when there is no room for it here. Whoever named the file to us is `owner`, and gets
  // nothing moved but a regular file of its own, in a folder of its own or of root's: else Errc::not_permitted.
  // Errc::conflict, and the old name stays, when our name is gone or another file's. Once.
  Result<void> move_from(const std::filesystem::path& from, uid_t owner);

 private:
  NewFile(std::filesystem::path path, UniqueFd fd) : m_path(std::move(path)), m_fd(std::move(fd)) {}

  bool has_its_name() const;

  std::filesystem::path m_path;
  UniqueFd m_fd;  // until it is filled
};

// The secret's base64 text and a line feed, mode 0600.
Result<void> write_new_key_file(const std::filesystem::path& path, ByteView secret);

// The same line to an open descriptor; `name` is what an error calls it.
Result<void> write_key_line(int fd, ByteView secret, const std::string& name);

// Everything up to the end of the file, in locked memory: any file may turn out to hold a key. Errc::too_large beyond
// `max` octets.
Result<SecretBytes> read_to_end(int fd, const std::string& name, std::size_t max);
Result<SecretBytes> read_whole_file(const std::filesystem::path& path, std::size_t max);

}  // namespace quipu::cli
