// SPDX-License-Identifier: Apache-2.0
// Files that a configuration names: keys, certificates, lists. What stands in their place may be anything.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace quipu {

struct RegularFile {
  UniqueFd fd;
  std::string path;
  struct stat status{};

  // For reading. A FIFO or a device in the file's place holds nobody up: Errc::malformed. Errors name the path.
  static Result<RegularFile> open(std::string path);

  // Errc::not_permitted when the file's mode has one of these bits (S_IRWXG, S_IRWXO): for secret keys.
  Result<void> require_closed_to(mode_t bits) const;
};

}  // namespace quipu
