// SPDX-License-Identifier: Apache-2.0
// The SymmetricState and CipherState objects of the Noise framework (revision 34, section 5), for SHA-512 and
// AES-256-GCM.
#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace quipu::protocol {

class SymmetricState {
 public:
  // `name` has at most 64 octets: chaining key and hash begin as the name followed by zeros.
  explicit SymmetricState(ByteView name);

  // For work that may fail: the original stays as it is.
  SymmetricState clone() const;

  void mix_hash(ByteView data);
  void mix_key(ByteView input_key_material);
  void mix_key_and_hash(ByteView input_key_material);

  // Only after a first mix_key or mix_key_and_hash. out.size() == plaintext.size() + 16. They do not overlap.
  void encrypt_and_hash(ByteView plaintext, MutableBytes out);
  // out.size() == sealed.size() - 16. After an error only destruction makes sense.
  Outcome<void> decrypt_and_hash(ByteView sealed, MutableBytes out);

  const Secret<64>& chaining_key() const { return m_chaining_key; }

  // The hash over all that was mixed and sealed so far.
  const crypto::Hash& transcript() const { return m_hash; }

 private:
  SymmetricState() = default;
  crypto::AeadNonce take_nonce();

  Secret<64> m_chaining_key;
  crypto::Hash m_hash{};
  Secret<crypto::kAeadKeySize> m_key;
  bool m_has_key = false;
  std::uint64_t m_nonce = 0;
};

}  // namespace quipu::protocol
