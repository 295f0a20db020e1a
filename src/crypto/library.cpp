// SPDX-License-Identifier: Apache-2.0
#include "crypto/library.h"

#include <openssl/crypto.h>
#include <sodium.h>

#include "base/assert.h"

namespace quipu::crypto {

void start_libraries() {
  static const bool started = sodium_init() >= 0 && OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1;
  QUIPU_ASSERT(started);
}

}  // namespace quipu::crypto
