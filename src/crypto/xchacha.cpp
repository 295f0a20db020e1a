// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/library.h"

namespace quipu::crypto {

Outcome<void> xchacha_seal(std::span<const std::uint8_t, 32> key, const XChaChaNonce& nonce, ByteView aad,
                           ByteView plaintext, MutableBytes out) {
  if (out.size() != plaintext.size() + kAeadTagSize) return std::unexpected(Errc::out_of_range);
  start_libraries();
  if (crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, plaintext.data(), plaintext.size(), aad.data(),
                                                 aad.size(), nullptr, nonce.data(), key.data()) != 0)
    return std::unexpected(Errc::crypto_failure);
  return {};
}

Outcome<void> xchacha_open(std::span<const std::uint8_t, 32> key, const XChaChaNonce& nonce, ByteView aad,
                           ByteView sealed, MutableBytes out) {
  if (sealed.size() < kAeadTagSize || out.size() != sealed.size() - kAeadTagSize)
    return std::unexpected(Errc::out_of_range);
  start_libraries();
  // libsodium verifies before it writes, and leaves zeros behind when the tag is wrong.
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(), sealed.size(), aad.data(),
                                                 aad.size(), nonce.data(), key.data()) != 0) {
    wipe(out.data(), out.size());
    return std::unexpected(Errc::authentication);
  }
  return {};
}

}  // namespace quipu::crypto
