// SPDX-License-Identifier: Apache-2.0
#include "base/regular_file.h"

#include <fcntl.h>

#include <array>
#include <cstdio>
#include <utility>

namespace quipu {

Result<RegularFile> RegularFile::open(std::string path) {
  RegularFile file;
  file.path = std::move(path);
  file.fd.reset(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.fd || ::fstat(file.fd.get(), &file.status) != 0) return fail_system(file.path);
  if (!S_ISREG(file.status.st_mode)) return fail(Errc::malformed, file.path + ": not a regular file");
  return file;
}

Result<void> RegularFile::require_closed_to(mode_t bits) const {
  if ((status.st_mode & bits) == 0) return {};
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(status.st_mode & 07777U));
  return fail(Errc::not_permitted, path + ": others may read or write this key (mode " + mode.data() +
                                       "); chmod 600 it, and make a new key if it was on a shared machine");
}

}  // namespace quipu
