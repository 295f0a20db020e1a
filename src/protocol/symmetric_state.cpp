// SPDX-License-Identifier: Apache-2.0
#include "protocol/symmetric_state.h"

#include <algorithm>

#include "base/assert.h"

namespace quipu::protocol {
namespace {

template <std::size_t N, std::size_t M>
void copy_part(Secret<N>& to, const Secret<M>& from, std::size_t offset) {
  static_assert(N <= M);
  std::ranges::copy(from.view().subspan(offset, N), to.mutable_view().begin());
}

}  // namespace

SymmetricState::SymmetricState(ByteView name) {
  QUIPU_ASSERT(name.size() <= m_hash.size());
  std::ranges::copy(name, m_hash.begin());
  m_chaining_key = Secret<64>(m_hash);
}

SymmetricState SymmetricState::clone() const {
  SymmetricState out;
  out.m_chaining_key = m_chaining_key.clone();
  out.m_hash = m_hash;
  out.m_key = m_key.clone();
  out.m_has_key = m_has_key;
  out.m_nonce = m_nonce;
  return out;
}

void SymmetricState::mix_hash(ByteView data) {
  m_hash = crypto::sha512({m_hash, data});
}

void SymmetricState::mix_key(ByteView input_key_material) {
  // HKDF(chaining key, input, 2 outputs); a key is the first half of its output.
  Secret<128> outputs;
  crypto::hkdf_expand(crypto::hkdf_extract(m_chaining_key.view(), input_key_material).view(), {},
                      outputs.mutable_view());
  copy_part(m_chaining_key, outputs, 0);
  copy_part(m_key, outputs, 64);
  m_has_key = true;
  m_nonce = 0;
}

void SymmetricState::mix_key_and_hash(ByteView input_key_material) {
  Secret<192> outputs;
  crypto::hkdf_expand(crypto::hkdf_extract(m_chaining_key.view(), input_key_material).view(), {},
                      outputs.mutable_view());
  copy_part(m_chaining_key, outputs, 0);
  mix_hash(outputs.view().subspan(64, 64));
  copy_part(m_key, outputs, 128);
  m_has_key = true;
  m_nonce = 0;
}

crypto::AeadNonce SymmetricState::take_nonce() {
  QUIPU_ASSERT(m_has_key);
  crypto::AeadNonce nonce{};
  ByteWriter(nonce).u32(0).u64(m_nonce++);
  return nonce;
}

void SymmetricState::encrypt_and_hash(ByteView plaintext, MutableBytes out) {
  crypto::Aead aead(m_key.view());
  const auto sealed = aead.seal(take_nonce(), m_hash, plaintext, out);
  QUIPU_ASSERT(sealed.has_value());
  mix_hash(out);
}

Outcome<void> SymmetricState::decrypt_and_hash(ByteView sealed, MutableBytes out) {
  crypto::Aead aead(m_key.view());
  QUIPU_TRY(aead.open(take_nonce(), m_hash, sealed, out));
  mix_hash(sealed);
  return {};
}

}  // namespace quipu::protocol
