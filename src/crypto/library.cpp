// SPDX-License-Identifier: Apache-2.0
#include "crypto/library.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/assert.h"

namespace quipu::crypto {
namespace {

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) {
  return std::malloc(size);
}

// OpenSSL wipes what it knows to be secret. It does not know a private key that it passes over on its way to a
// certificate, nor the buffer through which it decodes base64.
void wipe_and_free(void* memory, const char* /*file*/, int /*line*/) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

// realloc() gives back what it moves away from as it is.
void* reallocate(void* memory, std::size_t size, const char* file, int line) {
  if (size == 0) {
    wipe_and_free(memory, file, line);
    return nullptr;
  }
  void* const out = std::malloc(size);
  if (out == nullptr || memory == nullptr) return out;
  std::memcpy(out, memory, std::min(size, ::malloc_usable_size(memory)));
  wipe_and_free(memory, file, line);
  return out;
}

bool start() {
  return CRYPTO_set_mem_functions(allocate, reallocate, wipe_and_free) == 1 && sodium_init() >= 0 &&
         OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1;
}

}  // namespace

void start_libraries() {
  static const bool started = start();
  QUIPU_ASSERT(started);
}

}  // namespace quipu::crypto
