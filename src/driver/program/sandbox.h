// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace quipu::driver {

// Takes from this process, for good, what a driver has no use for: capabilities and the way to new ones, core dumps,
// being traced, starting programs, outliving its parent, files (landlock.h), sockets to other processes of this machine
// that go by a path or user id, and every system call that is not on the list of sandbox.cpp (refused with EPERM). To
// be called before any of the plugin's code runs, while there is one thread.
Result<void> enter_sandbox(const std::string& plugin);

}  // namespace quipu::driver
