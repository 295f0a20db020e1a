// SPDX-License-Identifier: Apache-2.0
#include "cli/key_output.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "cli/files.h"

namespace quipu::cli {
namespace {

bool others_may_read(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

}  // namespace

Result<void> put_out_key(ByteView key, const std::string& path) {
  if (!path.empty()) return write_new_key_file(path, key);
  if (others_may_read(STDOUT_FILENO))
    fmt::print(stderr,
               "quipu: warning: others may read the file that this key goes to; use --out FILE, or 'umask 077'\n");
  return write_key_line(STDOUT_FILENO, key, "standard output");
}

}  // namespace quipu::cli
