// SPDX-License-Identifier: Apache-2.0
// What a configuration says about drivers, held against the drivers themselves.
#pragma once

#include <vector>

#include "config/kmsd_config.h"
#include "kmsd/findings.h"
#include "kmsd/links.h"

namespace quipu::kmsd {

// Starts each link's driver, in its sandbox, and asks it about its options. Blocks; no device is touched, so the daemon
// may be using them.
Findings check_links(const DriverFiles& files, const std::vector<config::LinkConfig>& links);

}  // namespace quipu::kmsd
