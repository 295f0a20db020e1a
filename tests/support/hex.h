// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/encoding.h"

namespace quipu::test {

// For literals in tests: text that is not hexadecimal ends the program.
inline Bytes hex(std::string_view text) {
  auto bytes = from_hex(text);
  if (!bytes) std::abort();
  return *std::move(bytes);
}

template <std::size_t N>
std::array<std::uint8_t, N> hex_array(std::string_view text) {
  const Bytes bytes = hex(text);
  if (bytes.size() != N) std::abort();
  std::array<std::uint8_t, N> out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

}  // namespace quipu::test
