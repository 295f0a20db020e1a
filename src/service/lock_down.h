// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace quipu::service {

// The first call of a daemon's main: no core dumps (RLIMIT_CORE 0, PR_SET_DUMPABLE 0), umask 0077, SIGPIPE ignored,
// and the secrets' arena proven to be locked into memory. An error is a reason not to run.
Result<void> lock_down();

}  // namespace quipu::service
