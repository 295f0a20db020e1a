// SPDX-License-Identifier: Apache-2.0
#include "crypto/one_time_auth.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "support/hex.h"

namespace quipu::crypto {
namespace {

// RFC 8439 section 2.5.2.
TEST(OneTimeAuth, AnswersAsInRfc8439) {
  const Bytes key = test::hex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
  const std::span<const std::uint8_t, kOneTimeKeySize> fixed(key);
  const std::string expected = "a8061dc1305136c6c22b8baf0c0127a9";
  EXPECT_EQ(to_hex(one_time_tag(fixed, {as_bytes("Cryptographic Forum Research Group")})), expected);
  EXPECT_EQ(to_hex(one_time_tag(fixed, {as_bytes("Cryptographic Forum"), {}, as_bytes(" Research Group")})), expected);
}

}  // namespace
}  // namespace quipu::crypto
