// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "base/result.h"
#include "base/secret.h"

namespace quipu::crypto {

inline constexpr std::size_t kAeadKeySize = 32;
inline constexpr std::size_t kAeadNonceSize = 12;
inline constexpr std::size_t kAeadTagSize = 16;

using AeadNonce = std::array<std::uint8_t, kAeadNonceSize>;

// AES-256-GCM (NIST SP 800-38D) under one key, which is expanded once. One thread at a time. The caller owns nonce
// uniqueness. `out` may be the very octets of the input (in place), but not overlap them otherwise.
class Aead {
 public:
  explicit Aead(std::span<const std::uint8_t, kAeadKeySize> key);
  Aead(Aead&&) noexcept;
  Aead& operator=(Aead&&) noexcept;
  ~Aead();

  // out.size() == plaintext.size() + kAeadTagSize, else Errc::out_of_range.
  Outcome<void> seal(const AeadNonce& nonce, ByteView aad, ByteView plaintext, MutableBytes out);
  // out.size() == sealed.size() - kAeadTagSize. On Errc::authentication out holds no plaintext.
  Outcome<void> open(const AeadNonce& nonce, ByteView aad, ByteView sealed, MutableBytes out);

 private:
  struct Context;
  std::unique_ptr<Context> m_context;
};

// XChaCha20-Poly1305 (libsodium) for rare messages with a random 24-octet nonce: cookies, wrapped store keys.
inline constexpr std::size_t kXChaChaNonceSize = 24;
using XChaChaNonce = std::array<std::uint8_t, kXChaChaNonceSize>;
Outcome<void> xchacha_seal(std::span<const std::uint8_t, 32> key, const XChaChaNonce& nonce, ByteView aad,
                           ByteView plaintext, MutableBytes out);
Outcome<void> xchacha_open(std::span<const std::uint8_t, 32> key, const XChaChaNonce& nonce, ByteView aad,
                           ByteView sealed, MutableBytes out);

}  // namespace quipu::crypto
