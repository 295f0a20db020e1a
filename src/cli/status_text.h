// SPDX-License-Identifier: Apache-2.0
// `quipu status` for people: what a daemon tells as text, and as an exit code.
#pragma once

#include <string>

#include "cli/verb.h"
#include "control/status.h"

namespace quipu::cli {

// Ends with a line feed; at most 80 columns but for names and addresses that are longer.
std::string to_text(const control::DeviceStatus& status);
std::string to_text(const control::KmsStatus& status);
std::string to_text(const control::RelayStatus& status);

// policy_block when a tunnel is blocked, down when none is up or idle, degraded when some are not, when keys run short,
// when anything has a reason to say though it is up, and when a certificate is over.
ExitCode judge(const control::DeviceStatus& status);
// down when it is out of service or no KM link is up, degraded when some are not, a pool has no key to give, a QKD link
// does not run, or a certificate is over.
ExitCode judge(const control::KmsStatus& status);
// degraded when nothing is relayed into some pool that needs it, and when the entropy source is not good.
ExitCode judge(const control::RelayStatus& status);
// The graver of two of those that `status` ends with: from mild to grave ok, degraded, error, down, policy_block.
ExitCode graver(ExitCode a, ExitCode b);

// "4.1 s", "3 min 20 s", "3 h 20 min", "3 d 4 h"
std::string duration_text(double seconds);
// "903.0 GiB"
std::string size_text(std::uint64_t octets);

}  // namespace quipu::cli
