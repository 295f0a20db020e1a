// SPDX-License-Identifier: Apache-2.0
// For our own bugs only, and kept in release builds: bad input is an Error, never an assertion.
#pragma once

namespace quipu::detail {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace quipu::detail

#define QUIPU_ASSERT(condition)                        \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::quipu::detail::assertion_failed(#condition, __FILE__, __LINE__))
