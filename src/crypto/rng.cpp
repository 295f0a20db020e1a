// SPDX-License-Identifier: Apache-2.0
#include "crypto/rng.h"

#include <sodium.h>

#include "crypto/library.h"

namespace quipu::crypto {

void SystemRng::fill(MutableBytes out) {
  start_libraries();
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

}  // namespace quipu::crypto
