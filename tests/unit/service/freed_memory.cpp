// SPDX-License-Identifier: Apache-2.0
#include "freed_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace quipu::service {
namespace {

std::string_view g_wanted;
std::atomic<bool> g_given_back = false;

void give_back(void* memory) {
  const std::string_view octets(static_cast<const char*>(memory), memory == nullptr ? 0 : ::malloc_usable_size(memory));
  if (!g_wanted.empty() && octets.find(g_wanted) != std::string_view::npos) g_given_back = true;
  std::free(memory);
}

// Before anybody uses OpenSSL, which takes no other functions later.
const bool g_openssl = CRYPTO_set_mem_functions(
                           [](std::size_t size, const char*, int) { return std::malloc(size); },
                           [](void* memory, std::size_t size, const char*, int) { return std::realloc(memory, size); },
                           [](void* memory, const char*, int) { give_back(memory); }) == 1;

}  // namespace

bool openssl_is_watched() {
  return g_openssl;
}

void watch_for(std::string_view text) {
  g_wanted = text;
  g_given_back = false;
}

bool given_back() {
  return g_given_back;
}

}  // namespace quipu::service

// The sanitizers, under which clang builds, have operators of their own.
#ifndef __clang__

void* operator new(std::size_t size) {
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
  quipu::service::give_back(memory);
}

void operator delete(void* memory, std::size_t /*size*/) noexcept {
  quipu::service::give_back(memory);
}

#endif
