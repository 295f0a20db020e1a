// SPDX-License-Identifier: Apache-2.0
#include "store/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace quipu::store {
namespace {

Result<void> write_all(int fd, std::string_view contents, const std::string& path) {
  while (!contents.empty()) {
    const ssize_t written = ::write(fd, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_system(path);
    contents.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<void> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_system(directory);
  return {};
}

Result<void> replace_file(const std::string& path, std::string_view contents) {
  const std::string fresh = path + ".new";
  UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!fd) return fail_system(fresh);
  QUIPU_TRY(write_all(fd.get(), contents, fresh));
  if (::fsync(fd.get()) != 0) return fail_system(fresh);
  // An error of a late write may come out only here.
  if (::close(fd.release()) != 0) return fail_system(fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_system(path);
  return sync_directory_of(path);
}

}  // namespace quipu::store
