// SPDX-License-Identifier: Apache-2.0
#include "support/freed_memory.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#ifdef QUIPU_SANITIZED
#include <sanitizer/allocator_interface.h>
#endif

namespace quipu::test {
namespace {

std::string_view g_wanted;
std::atomic<bool> g_given_back = false;

// Calls nothing that could take memory.
void look_at(const volatile void* memory) {
  if (memory == nullptr || g_wanted.empty()) return;
  const auto* const begin = static_cast<const char*>(const_cast<const void*>(memory));
  const auto* const end = begin + ::malloc_usable_size(const_cast<void*>(memory));
  if (std::search(begin, end, g_wanted.begin(), g_wanted.end()) != end) g_given_back = true;
}

}  // namespace

void watch_for(std::string_view text) {
  g_wanted = text;
  g_given_back = false;
}

bool given_back() {
  return g_given_back;
}

}  // namespace quipu::test

// A sanitizer tells; else the C library lets a program have its own free().
#ifdef QUIPU_SANITIZED

namespace quipu::test {
namespace {

const int g_installed = __sanitizer_install_malloc_and_free_hooks([](const volatile void*, std::size_t) {}, look_at);

}  // namespace
}  // namespace quipu::test

#else

extern "C" void __libc_free(void* memory);

extern "C" void free(void* memory) noexcept {
  quipu::test::look_at(memory);
  __libc_free(memory);
}

#endif
