// SPDX-License-Identifier: Apache-2.0
#include "crypto/self_test.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/library.h"
#include "crypto/x25519.h"

namespace quipu::crypto {
namespace {

// Hands out the octets 0, 1, 2, ... so that generators become functions.
class CountingRng final : public Rng {
 public:
  void fill(MutableBytes out) override {
    for (std::uint8_t& octet : out)
      octet = m_next++;
  }

 private:
  std::uint8_t m_next = 0;
};

bool equals(ByteView actual, std::string_view expected_hex) {
  return to_hex(actual) == expected_hex;
}

template <std::size_t N>
std::array<std::uint8_t, N> octets(std::string_view hex) {
  std::array<std::uint8_t, N> out{};
  if (const auto bytes = from_hex(hex); bytes && bytes->size() == N) std::ranges::copy(*bytes, out.begin());
  return out;
}

bool hash_works() {
  return equals(sha512({as_bytes("abc")}),
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

bool mac_works() {
  const auto key = octets<16>("000102030405060708090a0b0c0d0e0f");
  return equals(blake2b_mac(key, {as_bytes("abc")}), "cc611a2673ca66e9f7fc64b995c5467c") &&
         equals(blake2b_256({as_bytes("abc")}), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

// The inputs of RFC 5869 A.1.
bool hkdf_works() {
  const auto input = octets<22>("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
  const auto salt = octets<13>("000102030405060708090a0b0c");
  const auto info = octets<10>("f0f1f2f3f4f5f6f7f8f9");
  std::array<std::uint8_t, 42> out{};
  hkdf_expand(hkdf_extract(salt, input).view(), {info}, out);
  return equals(out, "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb");
}

// Test case 14 of the GCM specification.
bool aes_gcm_works() {
  Aead aead(std::array<std::uint8_t, kAeadKeySize>{});
  const AeadNonce nonce{};
  std::array<std::uint8_t, 32> sealed{};
  std::array<std::uint8_t, 16> opened{};
  const std::array<std::uint8_t, 16> zeros{};
  if (!aead.seal(nonce, {}, zeros, sealed) ||
      !equals(sealed, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919") ||
      !aead.open(nonce, {}, sealed, opened) || opened != zeros)
    return false;
  sealed[0] ^= 1U;
  return !aead.open(nonce, {}, sealed, opened);
}

bool xchacha_works() {
  const auto key = octets<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto nonce = octets<24>("404142434445464748494a4b4c4d4e4f5051525354555657");
  std::array<std::uint8_t, 19> sealed{};
  std::array<std::uint8_t, 3> opened{};
  if (!xchacha_seal(key, nonce, as_bytes("aad"), as_bytes("abc"), sealed) ||
      !equals(sealed, "906e106d33420765dc0d1cc13262b294ee3044") ||
      !xchacha_open(key, nonce, as_bytes("aad"), sealed, opened) || as_text(opened) != "abc")
    return false;
  sealed[18] ^= 1U;
  return !xchacha_open(key, nonce, as_bytes("aad"), sealed, opened);
}

// RFC 7748 section 6.1.
bool x25519_works() {
  const X25519PrivateKey alice(octets<32>("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  const X25519PublicKey bob(octets<32>("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
  const auto shared = x25519(alice, bob);
  return shared && equals(shared->view(), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742") &&
         equals(x25519_public_key(alice).value(), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a") &&
         !x25519(alice, X25519PublicKey{});
}

bool ml_kem_works() {
  CountingRng rng;
  const KemKeyPair pair = generate_kem(rng);
  auto made = encapsulate(pair.encapsulation_key, rng);
  if (!made ||
      !equals(blake2b_256({pair.encapsulation_key, made->ciphertext}),
              "bf08ef1021eed3d77795dfdf76c47d03ef6dc969a14c965160f4bc65b93ec11e") ||
      !equals(made->shared_secret.view(), "9cddd089ffe70e3996e76f7c8d06746df34d07e8657bc0fcf2bb0e1c3084aea1"))
    return false;
  const auto opened = decapsulate(pair.seed, made->ciphertext);
  if (!opened || *opened != made->shared_secret) return false;
  made->ciphertext[0] ^= 1U;
  const auto rejected = decapsulate(pair.seed, made->ciphertext);
  return rejected && equals(rejected->view(), "dcfc80c6db46ff7028e3a4398651c063ae7a42c107a6dc8cb07141861698ab92");
}

}  // namespace

Result<void> self_test() {
  struct Test {
    std::string_view primitive;
    bool (*works)();
  };

  static constexpr Test kTests[] = {
      {"SHA-512", hash_works},
      {"BLAKE2b", mac_works},
      {"HKDF-SHA-512", hkdf_works},
      {"AES-256-GCM", aes_gcm_works},
      {"XChaCha20-Poly1305", xchacha_works},
      {"X25519", x25519_works},
      {"ML-KEM-768", ml_kem_works},
  };
  start_libraries();
  for (const Test& test : kTests)
    if (!test.works())
      return fail(Errc::crypto_failure, std::string(test.primitive) +
                                            " gives a wrong answer: the installed OpenSSL or libsodium is damaged or "
                                            "not the one that this program was built for");
  return {};
}

}  // namespace quipu::crypto
