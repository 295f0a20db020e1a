// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace quipu::detail {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "quipu: internal error at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace quipu::detail
