// SPDX-License-Identifier: Apache-2.0
// What a tunnel without a cipher would carry: the bound that the benchmarks compare with. In the place of
// crypto/aead.cpp, and of crypto/self_test.cpp, which would notice, in quipud-null. That program is built by
// QUIPU_BENCH alone, not installed, and of no use but there: nothing is secret and everything is genuine.
#include "crypto/aead.h"

#include <algorithm>
#include <cstdio>

#include "crypto/self_test.h"

namespace quipu::crypto {

// The daemon calls it when it starts: whoever takes it for another one shall read this.
Result<void> self_test() {
  std::fputs("quipud-null: THIS DAEMON CARRIES CLEAR TEXT, FOR BENCHMARKS ONLY: NOTHING IS ENCRYPTED OR CHECKED\n",
             stderr);
  return {};
}

struct Aead::Context {};

Aead::Aead(std::span<const std::uint8_t, kAeadKeySize> /*key*/) {}

Aead::Aead(Aead&&) noexcept = default;
Aead& Aead::operator=(Aead&&) noexcept = default;
Aead::~Aead() = default;

Outcome<void> Aead::seal(const AeadNonce& /*nonce*/, ByteView /*aad*/, ByteView plaintext, MutableBytes out) {
  if (out.size() != plaintext.size() + kAeadTagSize) return std::unexpected(Errc::out_of_range);
  if (plaintext.data() != out.data()) std::ranges::copy(plaintext, out.begin());
  std::ranges::fill(out.last(kAeadTagSize), std::uint8_t{0});
  return {};
}

Outcome<void> Aead::open(const AeadNonce& /*nonce*/, ByteView /*aad*/, ByteView sealed, MutableBytes out) {
  if (sealed.size() < kAeadTagSize || out.size() != sealed.size() - kAeadTagSize)
    return std::unexpected(Errc::out_of_range);
  if (sealed.data() != out.data()) std::ranges::copy(sealed.first(out.size()), out.begin());
  return {};
}

}  // namespace quipu::crypto
