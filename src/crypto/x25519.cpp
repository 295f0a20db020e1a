// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519.h"

#include <sodium.h>

#include "base/assert.h"
#include "crypto/library.h"

namespace quipu::crypto {

X25519PrivateKey generate_x25519(Rng& rng) {
  X25519PrivateKey key;
  rng.fill(key.mutable_view());
  return key;
}

X25519PublicKey x25519_public_key(const X25519PrivateKey& private_key) {
  start_libraries();
  std::array<std::uint8_t, kX25519Size> out;
  QUIPU_ASSERT(crypto_scalarmult_curve25519_base(out.data(), private_key.view().data()) == 0);
  return X25519PublicKey(out);
}

Outcome<X25519SharedSecret> x25519(const X25519PrivateKey& private_key, const X25519PublicKey& public_key) {
  start_libraries();
  X25519SharedSecret out;
  // libsodium itself refuses points of small order, and with them the all-zero result (RFC 7748 section 6.1).
  if (crypto_scalarmult_curve25519(out.mutable_view().data(), private_key.view().data(), public_key.value().data()) !=
      0)
    return std::unexpected(Errc::bad_key);
  return out;
}

}  // namespace quipu::crypto
