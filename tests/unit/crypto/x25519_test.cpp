// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519.h"

#include <gtest/gtest.h>

#include "support/fixed_rng.h"
#include "support/hex.h"

namespace quipu::crypto {
namespace {

using test::hex_array;

X25519PrivateKey private_key(std::string_view hex) {
  return X25519PrivateKey(hex_array<32>(hex));
}

X25519PublicKey public_key(std::string_view hex) {
  return X25519PublicKey(hex_array<32>(hex));
}

TEST(X25519, AnswersAsInRfc7748Section52) {
  const auto first = x25519(private_key("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                            public_key("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  ASSERT_TRUE(first);
  EXPECT_EQ(to_hex(first->view()), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  const auto second = x25519(private_key("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                             public_key("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"));
  ASSERT_TRUE(second);
  EXPECT_EQ(to_hex(second->view()), "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(X25519, AgreesAsInRfc7748Section61) {
  const auto alice = private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto bob = private_key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(to_hex(x25519_public_key(alice).value()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(x25519_public_key(bob).value()), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const auto a = x25519(alice, x25519_public_key(bob));
  const auto b = x25519(bob, x25519_public_key(alice));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(to_hex(a->view()), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(*a, *b);
}

TEST(X25519, RefusesPointsOfSmallOrder) {
  test::SeededRng rng("small order");
  const X25519PrivateKey key = generate_x25519(rng);
  for (const std::string_view point : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
           "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
       })
    EXPECT_EQ(x25519(key, public_key(point)).error(), Errc::bad_key) << point;
}

}  // namespace
}  // namespace quipu::crypto
