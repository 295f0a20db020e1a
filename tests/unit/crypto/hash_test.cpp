// SPDX-License-Identifier: Apache-2.0
#include "crypto/hash.h"

#include <numeric>

#include <gtest/gtest.h>

#include "support/hex.h"

namespace quipu::crypto {
namespace {

using test::hex;

Bytes counting(std::uint8_t first, std::size_t n) {
  Bytes out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

std::string hkdf(ByteView salt, ByteView input, ByteView info, std::size_t size) {
  Bytes out(size);
  hkdf_expand(hkdf_extract(salt, input).view(), {info}, out);
  return to_hex(out);
}

TEST(Sha512, AnswersAsInFips180) {
  const std::string expected =
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
  EXPECT_EQ(to_hex(sha512({as_bytes("abc")})), expected);
  EXPECT_EQ(to_hex(sha512({as_bytes("a"), {}, as_bytes("bc")})), expected);
}

// RFC 4231 sections 4.2, 4.3 and 4.7.
TEST(HmacSha512, AnswersAsInRfc4231) {
  EXPECT_EQ(to_hex(hmac_sha512(Bytes(20, 0x0b), {as_bytes("Hi There")}).view()),
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
  EXPECT_EQ(to_hex(hmac_sha512(as_bytes("Jefe"), {as_bytes("what do ya want "), as_bytes("for nothing?")}).view()),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
  EXPECT_EQ(
      to_hex(
          hmac_sha512(Bytes(131, 0xaa), {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")}).view()),
      "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
      "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

// The inputs of RFC 5869 A.1 to A.3 with SHA-512 for a hash.
TEST(HkdfSha512, AnswersOnTheInputsOfRfc5869) {
  EXPECT_EQ(hkdf(counting(0, 13), Bytes(22, 0x0b), counting(0xf0, 10), 42),
            "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb");
  EXPECT_EQ(hkdf(counting(0x60, 80), counting(0, 80), counting(0xb0, 80), 82),
            "ce6c97192805b346e6161e821ed165673b84f400a2b514b2fe23d84cd189ddf1b695b48cbd1c8388441137b3ce28f16a"
            "a64ba33ba466b24df6cfcb021ecff235f6a2056ce3af1de44d572097a8505d9e7a93");
  EXPECT_EQ(hkdf({}, Bytes(22, 0x0b), {}, 42),
            "f5fa02b18298a72a8c23898a8703472c6eb179dc204c03425c970e3b164bf90fff22d04836d0e2343bac");
}

TEST(HkdfSha512, PartsOfTheInfoAreOneString) {
  const auto prk = hkdf_extract({}, as_bytes("key"));
  Bytes whole(100);
  Bytes parts(100);
  hkdf_expand(prk.view(), {as_bytes("abcdef")}, whole);
  hkdf_expand(prk.view(), {as_bytes("ab"), {}, as_bytes("cdef")}, parts);
  EXPECT_EQ(whole, parts);
}

TEST(Blake2b, AnswersAsComputedByAnotherImplementation) {
  EXPECT_EQ(to_hex(blake2b_256({as_bytes("a"), as_bytes("bc")})),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(to_hex(blake2b_mac(counting(0, 32), {counting(0, 128), counting(128, 128)})),
            "c7eca2c1ae35a1e0f627b8ebbe105c94");
  EXPECT_EQ(to_hex(blake2b_mac(counting(0, 16), {as_bytes("abc")})), "cc611a2673ca66e9f7fc64b995c5467c");
}

}  // namespace
}  // namespace quipu::crypto
