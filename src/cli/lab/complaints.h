// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/lab/state.h"

namespace quipu::cli::lab {

// What the daemons of the site say is wrong, in one line; empty when they say nothing. They are asked for their status.
std::string complaints_of(const Site& site);

}  // namespace quipu::cli::lab
