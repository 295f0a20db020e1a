// SPDX-License-Identifier: Apache-2.0
// The listening socket of a ControlServer. Inside src/service only.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/log.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace quipu::service {

// Binds and listens at `path`, mode 0660, given to `group` if the system has it. Replaces a socket that nobody serves;
// Errc::busy when somebody does, Errc::conflict when another kind of file stands there.
Result<UniqueFd> listen_at(const std::string& path, const std::string& group, LogSink& log);

}  // namespace quipu::service
