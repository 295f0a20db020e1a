// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace quipu::service {

// What a daemon's main calls before it reads anything secret: no core dumps (RLIMIT_CORE 0, PR_SET_DUMPABLE 0), umask
// 0077, all memory locked, now and later, and the secrets' arena proven to be. An error
// is a reason not to run.
Result<void> lock_down();

}  // namespace quipu::service
