// SPDX-License-Identifier: Apache-2.0
// OpenSSL's memory as this program gives it: the contract of CRYPTO_malloc(3).
#include "crypto/library.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "support/freed_memory.h"

namespace quipu::crypto {
namespace {

char* reallocate(void* memory, std::size_t size) {
  return static_cast<char*>(OPENSSL_realloc(memory, size));
}

TEST(FreedMemory, IsLookedAt) {
  test::watch_for("looked for");
  std::make_unique<std::string>("what is looked for, on the heap").reset();
  EXPECT_TRUE(test::given_back());
  test::watch_for({});
}

TEST(Library, MovesMemoryAndLeavesNoCopyBehind) {
  start_libraries();
  const std::string_view text = "twenty-four octets of it";
  char* memory = reallocate(nullptr, text.size());
  ASSERT_NE(memory, nullptr);
  text.copy(memory, text.size());
  test::watch_for(text.substr(0, 5));
  for (const std::size_t size : {text.size() + 1, std::size_t{100'000}, text.size(), std::size_t{5}}) {
    memory = reallocate(memory, size);
    ASSERT_NE(memory, nullptr);
    const std::size_t kept = std::min(size, text.size());
    EXPECT_EQ(std::string_view(memory, kept), text.substr(0, kept)) << size;
  }
  EXPECT_EQ(reallocate(memory, 0), nullptr);
  OPENSSL_free(nullptr);
  EXPECT_FALSE(test::given_back());
  test::watch_for({});
}

}  // namespace
}  // namespace quipu::crypto
