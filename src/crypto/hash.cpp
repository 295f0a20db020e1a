// SPDX-License-Identifier: Apache-2.0
#include "crypto/hash.h"

#include <algorithm>

#include <sodium.h>

#include "base/assert.h"
#include "crypto/library.h"

namespace quipu::crypto {
namespace {

// HMAC-SHA-512 whose inner state is wiped, since it is as good as the key.
class Hmac {
 public:
  explicit Hmac(ByteView key) {
    static constexpr std::uint8_t kNone = 0;  // libsodium wants an address even for a key of no octets
    crypto_auth_hmacsha512_init(&m_state, key.empty() ? &kNone : key.data(), key.size());
  }

  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  ~Hmac() { wipe(&m_state, sizeof m_state); }

  Hmac& update(ByteView in) {
    if (!in.empty()) crypto_auth_hmacsha512_update(&m_state, in.data(), in.size());
    return *this;
  }

  void finish(std::span<std::uint8_t, kHashSize> out) { crypto_auth_hmacsha512_final(&m_state, out.data()); }

 private:
  crypto_auth_hmacsha512_state m_state;
};

void blake2b(ByteView key, std::initializer_list<ByteView> parts, MutableBytes out) {
  start_libraries();
  crypto_generichash_blake2b_state state;
  QUIPU_ASSERT(crypto_generichash_blake2b_init(&state, key.data(), key.size(), out.size()) == 0);
  for (const ByteView part : parts)
    if (!part.empty()) crypto_generichash_blake2b_update(&state, part.data(), part.size());
  crypto_generichash_blake2b_final(&state, out.data(), out.size());
  wipe(&state, sizeof state);
}

}  // namespace

Hash sha512(std::initializer_list<ByteView> parts) {
  start_libraries();
  crypto_hash_sha512_state state;
  crypto_hash_sha512_init(&state);
  for (const ByteView part : parts)
    if (!part.empty()) crypto_hash_sha512_update(&state, part.data(), part.size());
  Hash out;
  crypto_hash_sha512_final(&state, out.data());
  return out;
}

Mac blake2b_mac(ByteView key, std::initializer_list<ByteView> parts) {
  QUIPU_ASSERT(!key.empty() && key.size() <= 64);
  Mac out;
  blake2b(key, parts, out);
  return out;
}

std::array<std::uint8_t, 32> blake2b_256(std::initializer_list<ByteView> parts) {
  std::array<std::uint8_t, 32> out;
  blake2b({}, parts, out);
  return out;
}

Secret<kHashSize> hmac_sha512(ByteView key, std::initializer_list<ByteView> parts) {
  start_libraries();
  Hmac hmac(key);
  for (const ByteView part : parts)
    hmac.update(part);
  Secret<kHashSize> out;
  hmac.finish(out.mutable_view());
  return out;
}

Secret<kHashSize> hkdf_extract(ByteView salt, ByteView input_key_material) {
  return hmac_sha512(salt, {input_key_material});
}

void hkdf_expand(ByteView prk, std::initializer_list<ByteView> info, MutableBytes out) {
  QUIPU_ASSERT(out.size() <= 255 * kHashSize);
  start_libraries();
  Secret<kHashSize> block;
  ByteView previous;
  for (std::uint8_t index = 1; !out.empty(); ++index) {
    Hmac hmac(prk);
    hmac.update(previous);
    for (const ByteView part : info)
      hmac.update(part);
    hmac.update({&index, 1}).finish(block.mutable_view());
    previous = block.view();
    const std::size_t n = std::min(out.size(), kHashSize);
    std::copy_n(previous.begin(), n, out.begin());
    out = out.subspan(n);
  }
}

}  // namespace quipu::crypto
