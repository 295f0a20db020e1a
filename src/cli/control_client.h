// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "control/message.h"

namespace quipu::cli {

// Longer than any verb may take before the daemon answers it.
inline constexpr std::chrono::seconds kControlPatience{30};
// But for those that have it work through the store, which may be large, while it serves on.
inline constexpr std::chrono::hours kWorkPatience{1};

// Asks a daemon over its control socket. Errc::not_found when there is no socket, Errc::closed when nobody listens
// behind it, Errc::not_permitted when this user may not open it, Errc::timeout when no whole answer came in time. What
// the daemon refuses is a reply, not an error.
Result<control::Reply> ask(const std::string& socket_path, const control::Request& request,
                           std::chrono::milliseconds patience = kControlPatience);

// The daemon's refusal as an error of ours: message and hint.
Result<std::string> result_of(control::Reply reply);

}  // namespace quipu::cli
