// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.h"

#include <gtest/gtest.h>

#include "support/hex.h"

namespace quipu::crypto {
namespace {

using test::hex;
using test::hex_array;

// Test case 16 of the GCM specification by McGrew and Viega.
struct Case16 {
  std::array<std::uint8_t, 32> key = hex_array<32>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  AeadNonce nonce = hex_array<12>("cafebabefacedbaddecaf888");
  Bytes aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  Bytes plaintext =
      hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
          "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  Bytes sealed =
      hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
          "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
};

TEST(AesGcm, AnswersAsInTheSpecification) {
  const Case16 vector;
  Aead aead(vector.key);
  Bytes sealed(vector.sealed.size());
  ASSERT_TRUE(aead.seal(vector.nonce, vector.aad, vector.plaintext, sealed));
  EXPECT_EQ(sealed, vector.sealed);
  Bytes opened(vector.plaintext.size());
  ASSERT_TRUE(aead.open(vector.nonce, vector.aad, sealed, opened));
  EXPECT_EQ(opened, vector.plaintext);
}

TEST(AesGcm, SealsNothingAtAll) {
  Aead aead(std::array<std::uint8_t, 32>{});
  std::array<std::uint8_t, 16> sealed{};
  ASSERT_TRUE(aead.seal({}, {}, {}, sealed));
  EXPECT_EQ(to_hex(sealed), "530f8afbc74536b9a963b4f1c4cb738b");
  EXPECT_TRUE(aead.open({}, {}, sealed, {}));
}

TEST(AesGcm, WorksInPlace) {
  const Case16 vector;
  Aead aead(vector.key);
  Bytes buffer = vector.plaintext;
  buffer.resize(vector.sealed.size());
  ASSERT_TRUE(aead.seal(vector.nonce, vector.aad, MutableBytes(buffer).first(vector.plaintext.size()), buffer));
  EXPECT_EQ(buffer, vector.sealed);
  ASSERT_TRUE(aead.open(vector.nonce, vector.aad, buffer, MutableBytes(buffer).first(vector.plaintext.size())));
  buffer.resize(vector.plaintext.size());
  EXPECT_EQ(buffer, vector.plaintext);
}

TEST(AesGcm, OneContextSealsAndOpensInTurn) {
  const Case16 vector;
  Aead aead(vector.key);
  Bytes opened(vector.plaintext.size());
  Bytes sealed(vector.sealed.size());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(aead.open(vector.nonce, vector.aad, vector.sealed, opened));
    ASSERT_TRUE(aead.seal(vector.nonce, vector.aad, opened, sealed));
    ASSERT_EQ(sealed, vector.sealed);
  }
}

TEST(AesGcm, RefusesEveryFlippedBitAndLeavesNoPlaintext) {
  const Case16 vector;
  Aead aead(vector.key);
  const Bytes zeros(vector.plaintext.size());
  for (std::size_t bit = 0; bit < vector.sealed.size() * 8; ++bit) {
    Bytes sealed = vector.sealed;
    sealed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    Bytes opened(vector.plaintext.size(), 0xee);
    ASSERT_EQ(aead.open(vector.nonce, vector.aad, sealed, opened).error(), Errc::authentication);
    ASSERT_EQ(opened, zeros);
  }
  // A failure leaves the context usable.
  Bytes opened(vector.plaintext.size());
  EXPECT_TRUE(aead.open(vector.nonce, vector.aad, vector.sealed, opened));
}

TEST(AesGcm, RefusesOtherNonceOrAssociatedData) {
  const Case16 vector;
  Aead aead(vector.key);
  Bytes opened(vector.plaintext.size());
  AeadNonce nonce = vector.nonce;
  nonce[11] ^= 1U;
  EXPECT_EQ(aead.open(nonce, vector.aad, vector.sealed, opened).error(), Errc::authentication);
  Bytes aad = vector.aad;
  aad.back() ^= 1U;
  EXPECT_EQ(aead.open(vector.nonce, aad, vector.sealed, opened).error(), Errc::authentication);
  EXPECT_EQ(aead.open(vector.nonce, {}, vector.sealed, opened).error(), Errc::authentication);
}

TEST(AesGcm, RefusesBuffersOfOtherSizes) {
  const Case16 vector;
  Aead aead(vector.key);
  Bytes small(vector.plaintext.size());
  EXPECT_EQ(aead.seal(vector.nonce, {}, vector.plaintext, small).error(), Errc::out_of_range);
  EXPECT_EQ(aead.open(vector.nonce, {}, Bytes(15), {}).error(), Errc::out_of_range);
  EXPECT_EQ(aead.open(vector.nonce, {}, Bytes(17), {}).error(), Errc::out_of_range);
}

// draft-irtf-cfrg-xchacha-03 appendix A.3.1.
TEST(XChaCha, AnswersAsInTheDraft) {
  const auto key = hex_array<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto nonce = hex_array<24>("404142434445464748494a4b4c4d4e4f5051525354555657");
  const Bytes aad = hex("50515253c0c1c2c3c4c5c6c7");
  const ByteView plaintext = as_bytes(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.");
  Bytes sealed(plaintext.size() + kAeadTagSize);
  ASSERT_TRUE(xchacha_seal(key, nonce, aad, plaintext, sealed));
  EXPECT_EQ(to_hex(sealed),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49");
  Bytes opened(plaintext.size());
  ASSERT_TRUE(xchacha_open(key, nonce, aad, sealed, opened));
  EXPECT_EQ(as_text(opened), as_text(plaintext));
  sealed[5] ^= 0x80U;
  EXPECT_EQ(xchacha_open(key, nonce, aad, sealed, opened).error(), Errc::authentication);
  EXPECT_EQ(opened, Bytes(plaintext.size()));
}

}  // namespace
}  // namespace quipu::crypto
