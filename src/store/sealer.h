// SPDX-License-Identifier: Apache-2.0
// Sealing at rest (docs/km-link.md, "At rest"): every chunk under its own random key, every such key wrapped by the
// store key, all with XChaCha20-Poly1305. Inside src/store only.
#pragma once

#include <optional>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/rng.h"

namespace quipu::store {

// Where a chunk stands; bound into both seals, so that rows cannot change places.
struct ChunkName {
  const KmeId& pool;
  const BlockId& block;
  std::uint32_t position;
};

struct SealedChunk {
  Bytes wrapped_key;
  Bytes sealed;
};

class Sealer {
 public:
  // `previous`: a store key that may still have wrapped some chunks' keys. `rng` outlives this.
  Sealer(Secret<32> store_key, std::optional<Secret<32>> previous, crypto::Rng& rng)
      : m_key(std::move(store_key)), m_previous(std::move(previous)), m_rng(rng) {}

  Result<SealedChunk> seal(const ChunkName& name, ByteView material);
  // Errc::authentication when either part was changed or stood elsewhere.
  Result<SecretBytes> open(const ChunkName& name, ByteView wrapped_key, ByteView sealed) const;

  // A chunk's key that the previous store key has wrapped, wrapped by this one; nothing when it is already.
  // Errc::authentication as above.
  Result<std::optional<Bytes>> rewrap(const ChunkName& name, ByteView wrapped_key);

  // It has wrapped nothing any more.
  void forget_previous() { m_previous.reset(); }

  // A value that only this store key can have made, and its proof.
  Result<Bytes> make_check();
  bool is_check(ByteView value) const;
  // That the previous store key has made it.
  bool is_previous_check(ByteView value) const;

 private:
  // nonce || sealed
  Result<Bytes> wrap(ByteView aad, ByteView plaintext);
  static Outcome<void> unwrap(const Secret<32>& key, ByteView aad, ByteView wrapped, MutableBytes out);
  // By the previous store key.
  Outcome<void> unwrap_previous(ByteView aad, ByteView wrapped, MutableBytes out) const;

  Secret<32> m_key;
  std::optional<Secret<32>> m_previous;
  crypto::Rng& m_rng;
};

}  // namespace quipu::store
