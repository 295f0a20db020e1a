// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <unistd.h>

namespace quipu {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(m_fd, fd);
  // A failed close leaves the descriptor closed on Linux: there is nothing to retry and nobody to tell.
  if (old >= 0 && old != fd) ::close(old);
}

}  // namespace quipu
