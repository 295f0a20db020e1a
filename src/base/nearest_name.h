// SPDX-License-Identifier: Apache-2.0
// What somebody meant who mistyped a name.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace quipu {

// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of the names when it is near enough to be meant; else empty.
std::string_view nearest_name(const std::vector<std::string_view>& names, std::string_view name);

}  // namespace quipu
