// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "config/types.h"

namespace quipu::kmsd {

// What a check found, each at its place in the configuration.
struct Findings {
  std::vector<config::Problem> problems;
  // What could not be checked, and why.
  std::vector<config::Problem> notes;
};

}  // namespace quipu::kmsd
