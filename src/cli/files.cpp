// SPDX-License-Identifier: Apache-2.0
#include "cli/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/unique_fd.h"

namespace quipu::cli {
namespace {

Result<void> write_all(int fd, ByteView contents, const std::string& path) {
  while (!contents.empty()) {
    const ssize_t n = ::write(fd, contents.data(), contents.size());
    if (n < 0 && errno != EINTR) return fail_system(path);
    if (n > 0) contents = contents.subspan(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0 ? Result<void>() : fail_system(path);
}

Result<void> fill_and_name(const std::string& fresh, const std::string& path, ByteView contents, mode_t mode) {
  const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return fail_system(fresh);
  QUIPU_TRY(write_all(fd.get(), contents, path));
  if (::fchmod(fd.get(), mode) != 0) return fail_system(path);
  // link, unlike rename, refuses to replace a file that somebody made meanwhile.
  if (::link(fresh.c_str(), path.c_str()) == 0) return {};
  if (errno == EEXIST) return fail(Errc::conflict, path + " exists already: move it away, or choose another name");
  return fail_system(path);
}

}  // namespace

Result<void> write_new_file(const std::filesystem::path& path, ByteView contents, mode_t mode) {
  const std::string fresh = path.string() + ".new." + std::to_string(::getpid());
  auto result = fill_and_name(fresh, path, contents, mode);
  ::unlink(fresh.c_str());
  return result;
}

Result<void> write_new_key_file(const std::filesystem::path& path, ByteView secret) {
  const SecretBytes text = secret_to_base64(secret);
  SecretBytes line(text.size() + 1);
  std::memcpy(line.mutable_view().data(), text.view().data(), text.size());
  line.mutable_view().back() = '\n';
  return write_new_file(path, line.view(), kSecretFileMode);
}

}  // namespace quipu::cli
