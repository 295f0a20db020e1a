// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace quipu::sim {

// docs/driver-sim.md, Markdown.
std::string options_page();

}  // namespace quipu::sim
