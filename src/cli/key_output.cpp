// SPDX-License-Identifier: Apache-2.0
#include "cli/key_output.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/files.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

bool others_may_read(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

}  // namespace

std::shared_ptr<std::string> add_key_output(CLI::App& verb) {
  auto path = std::make_shared<std::string>();
  // An empty variable in a script must not send the key to the terminal.
  verb.add_option("-o,--out", *path,
                  "Write it to this new file, readable by its owner only, instead of standard output")
      ->check([](const std::string& name) { return name.empty() ? "the name of the file is empty" : std::string(); });
  return path;
}

Result<void> put_out_key(ByteView key, const std::string& path) {
  if (!path.empty()) {
    QUIPU_TRY(write_new_key_file(path, key));
    complain("quipu: wrote {}, readable by its owner only\n", path);
    return {};
  }
  if (others_may_read(STDOUT_FILENO))
    complain("quipu: warning: others may read the file that this key goes to; use --out FILE, or 'umask 077'\n");
  return write_key_line(STDOUT_FILENO, key, "standard output");
}

}  // namespace quipu::cli
