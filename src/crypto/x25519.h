// SPDX-License-Identifier: Apache-2.0
// X25519 (RFC 7748).
#pragma once

#include <array>

#include "base/result.h"
#include "base/secret.h"
#include "base/strong.h"
#include "crypto/rng.h"

namespace quipu::crypto {

inline constexpr std::size_t kX25519Size = 32;
using X25519PublicKey = Strong<struct X25519PublicKeyTag, std::array<std::uint8_t, kX25519Size>>;
using X25519PrivateKey = Secret<kX25519Size>;
using X25519SharedSecret = Secret<kX25519Size>;

X25519PrivateKey generate_x25519(Rng& rng);
X25519PublicKey x25519_public_key(const X25519PrivateKey& private_key);
// Errc::bad_key when the result is all zeros (the peer sent a point of small order).
Outcome<X25519SharedSecret> x25519(const X25519PrivateKey& private_key, const X25519PublicKey& public_key);

}  // namespace quipu::crypto
