// SPDX-License-Identifier: Apache-2.0
#include "service/lock_down.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "base/secret_arena.h"

namespace quipu::service {

Result<void> lock_down() {
  constexpr rlimit kNone{};
  if (::setrlimit(RLIMIT_CORE, &kNone) != 0) return fail_system("setrlimit(RLIMIT_CORE)");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_system("prctl(PR_SET_DUMPABLE)");
  ::umask(S_IRWXG | S_IRWXO);
  if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return fail_system("signal(SIGPIPE)");
  return require_locked_secrets();
}

}  // namespace quipu::service
