// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.h"

#include <limits>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/freed_by.h"
#include "crypto/library.h"

namespace quipu::crypto {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER, FreedBy<EVP_CIPHER_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreedBy<EVP_CIPHER_CTX_free>>;

// Fetched once: a fetch costs more than a packet.
const EVP_CIPHER* aes_256_gcm() {
  static const Cipher cipher(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  QUIPU_ASSERT(cipher != nullptr);
  return cipher.get();
}

// Absent octets are passed as a null pointer, which EVP takes for a flush: leave such calls out.
bool update(EVP_CIPHER_CTX* context, std::uint8_t* out, ByteView in) {
  int written = 0;
  return in.empty() || EVP_CipherUpdate(context, out, &written, in.data(), static_cast<int>(in.size())) == 1;
}

bool too_long(ByteView in) {
  return in.size() > static_cast<std::size_t>(std::numeric_limits<int>::max());
}

}  // namespace

// One context serves both directions: GCM uses the same key schedule to seal and to open.
struct Aead::Context {
  CipherContext cipher;

  Context() {
    start_libraries();
    cipher.reset(EVP_CIPHER_CTX_new());
  }

  bool start(const AeadNonce& nonce, ByteView aad, bool sealing) {
    return EVP_CipherInit_ex2(cipher.get(), nullptr, nullptr, nonce.data(), sealing ? 1 : 0, nullptr) == 1 &&
           update(cipher.get(), nullptr, aad);
  }

  bool finish() {
    std::array<std::uint8_t, kAeadTagSize> unused;
    int written = 0;
    return EVP_CipherFinal_ex(cipher.get(), unused.data(), &written) == 1;
  }

  bool set_tag(ByteView tag) {
    // EVP takes the tag as a non-const pointer and only reads it.
    auto* const octets = const_cast<std::uint8_t*>(tag.data());
    return EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()), octets) == 1;
  }

  bool get_tag(MutableBytes tag) {
    return EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1;
  }
};

Aead::Aead(std::span<const std::uint8_t, kAeadKeySize> key) : m_context(std::make_unique<Context>()) {
  QUIPU_ASSERT(m_context->cipher != nullptr);
  QUIPU_ASSERT(EVP_CipherInit_ex2(m_context->cipher.get(), aes_256_gcm(), key.data(), nullptr, 1, nullptr) == 1);
}

Aead::Aead(Aead&&) noexcept = default;
Aead& Aead::operator=(Aead&&) noexcept = default;
Aead::~Aead() = default;

Outcome<void> Aead::seal(const AeadNonce& nonce, ByteView aad, ByteView plaintext, MutableBytes out) {
  if (too_long(plaintext) || too_long(aad) || out.size() != plaintext.size() + kAeadTagSize)
    return std::unexpected(Errc::out_of_range);
  Context& context = *m_context;
  if (!context.start(nonce, aad, true) || !update(context.cipher.get(), out.data(), plaintext) || !context.finish() ||
      !context.get_tag(out.last(kAeadTagSize)))
    return std::unexpected(Errc::crypto_failure);
  return {};
}

Outcome<void> Aead::open(const AeadNonce& nonce, ByteView aad, ByteView sealed, MutableBytes out) {
  if (too_long(sealed) || too_long(aad) || sealed.size() < kAeadTagSize || out.size() != sealed.size() - kAeadTagSize)
    return std::unexpected(Errc::out_of_range);
  Context& context = *m_context;
  if (!context.start(nonce, aad, false) || !context.set_tag(sealed.last(kAeadTagSize)))
    return std::unexpected(Errc::crypto_failure);
  if (!update(context.cipher.get(), out.data(), sealed.first(out.size())) || !context.finish()) {
    ERR_clear_error();
    wipe(out.data(), out.size());  // what was deciphered before the tag failed is nobody's to read
    return std::unexpected(Errc::authentication);
  }
  return {};
}

}  // namespace quipu::crypto
