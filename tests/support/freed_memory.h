// SPDX-License-Identifier: Apache-2.0
// Looks at what this program gives back to the heap: whether it still holds what should have been wiped.
#pragma once

#include <string_view>

namespace quipu::test {

// Something to look for from now on, which outlives that; empty to look no more.
void watch_for(std::string_view text);
// Whether it was in memory that was given back since.
bool given_back();

}  // namespace quipu::test
