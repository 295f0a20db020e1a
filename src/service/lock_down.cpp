// SPDX-License-Identifier: Apache-2.0
#include "service/lock_down.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/secret_arena.h"

namespace quipu::service {

namespace {

// Secrets live in an arena that is locked anyhow, but what libraries make of keys (round keys, TLS sessions) is on the
// heap. Pages are locked as they are touched, so nothing is resident that would not be; the limit is on address space.
Result<void> lock_everything() {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return {};
  if (errno != ENOMEM && errno != EPERM) return fail_system("mlockall");
  return fail(
      Errc::not_permitted,
      "memory cannot be locked, so keys could reach the swap space: raise the limit (LimitMEMLOCK=infinity in the "
      "unit, or ulimit -l unlimited)");
}

}  // namespace

Result<void> lock_down() {
  constexpr rlimit kNone{};
  if (::setrlimit(RLIMIT_CORE, &kNone) != 0) return fail_system("setrlimit(RLIMIT_CORE)");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_system("prctl(PR_SET_DUMPABLE)");
  ::umask(S_IRWXG | S_IRWXO);
  QUIPU_TRY(lock_everything());
  return require_locked_secrets();
}

}  // namespace quipu::service
