// SPDX-License-Identifier: Apache-2.0
// ML-KEM-768 (FIPS 203).
#pragma once

#include <array>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/rng.h"

namespace quipu::crypto {

inline constexpr std::size_t kKemEncapsulationKeySize = 1184;
inline constexpr std::size_t kKemCiphertextSize = 1088;
inline constexpr std::size_t kKemSeedSize = 64;  // d || z
using KemEncapsulationKey = std::array<std::uint8_t, kKemEncapsulationKeySize>;
using KemCiphertext = std::array<std::uint8_t, kKemCiphertextSize>;
using KemSharedSecret = Secret<32>;

// A decapsulation key is kept as its seed and expanded for each use.
struct KemKeyPair {
  KemEncapsulationKey encapsulation_key;
  Secret<kKemSeedSize> seed;
};

struct KemEncapsulation {
  KemCiphertext ciphertext;
  KemSharedSecret shared_secret;
};

KemKeyPair generate_kem(Rng& rng);
// Errc::bad_key when the key fails the modulus check of FIPS 203 section 7.2.
Outcome<KemEncapsulation> encapsulate(const KemEncapsulationKey& key, Rng& rng);
// A ciphertext made for another key yields a pseudorandom secret (implicit rejection), not an error.
Outcome<KemSharedSecret> decapsulate(const Secret<kKemSeedSize>& seed, const KemCiphertext& ciphertext);

}  // namespace quipu::crypto
