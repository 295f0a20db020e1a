// SPDX-License-Identifier: Apache-2.0
#include "store/sealer.h"

#include <array>

#include "crypto/aead.h"

namespace quipu::store {
namespace {

constexpr std::string_view kChunkLabel = "quipu store v1 chunk";
constexpr std::string_view kCheckLabel = "quipu store v1 key check";
constexpr std::size_t kCheckSize = 32;

Bytes chunk_aad(const ChunkName& name) {
  const std::string& pool = name.pool.value();
  Bytes out(kChunkLabel.size() + 2 + pool.size() + 16 + 4);
  ByteWriter(out)
      .bytes(as_bytes(kChunkLabel))
      .prefixed16(as_bytes(pool))
      .bytes(name.block.value().octets)
      .u32(name.position);
  return out;
}

std::unexpected<Error> damaged() {
  return fail(Errc::authentication, "sealed key material does not open: the store is damaged or was changed");
}

// A chunk's key seals one chunk, once: its nonce says nothing.
constexpr crypto::XChaChaNonce kOnlyNonce{};

}  // namespace

Result<Bytes> Sealer::wrap(ByteView aad, ByteView plaintext) {
  crypto::XChaChaNonce nonce{};
  m_rng.fill(nonce);
  Bytes out(nonce.size() + plaintext.size() + crypto::kAeadTagSize);
  ByteWriter writer(out);
  const MutableBytes sealed = writer.bytes(nonce).reserve(plaintext.size() + crypto::kAeadTagSize);
  if (const auto done = crypto::xchacha_seal(m_key.view(), nonce, aad, plaintext, sealed); !done)
    return fail(done.error(), "sealing key material");
  return out;
}

Outcome<void> Sealer::unwrap(const Secret<32>& key, ByteView aad, ByteView wrapped, MutableBytes out) {
  ByteReader reader(wrapped);
  const auto nonce = reader.array<crypto::kXChaChaNonceSize>();
  if (!reader.ok() || reader.remaining() != out.size() + crypto::kAeadTagSize)
    return std::unexpected(Errc::authentication);
  return crypto::xchacha_open(key.view(), nonce, aad, reader.rest(), out);
}

Outcome<void> Sealer::unwrap_previous(ByteView aad, ByteView wrapped, MutableBytes out) const {
  if (!m_previous) return std::unexpected(Errc::authentication);
  return unwrap(*m_previous, aad, wrapped, out);
}

Result<SealedChunk> Sealer::seal(const ChunkName& name, ByteView material) {
  const Bytes aad = chunk_aad(name);
  Secret<32> key;
  m_rng.fill(key.mutable_view());
  SealedChunk out;
  QUIPU_TRY_ASSIGN(out.wrapped_key, wrap(aad, key.view()));
  out.sealed.resize(material.size() + crypto::kAeadTagSize);
  if (const auto done = crypto::xchacha_seal(key.view(), kOnlyNonce, aad, material, out.sealed); !done)
    return fail(done.error(), "sealing key material");
  return out;
}

Result<SecretBytes> Sealer::open(const ChunkName& name, ByteView wrapped_key, ByteView sealed) const {
  const Bytes aad = chunk_aad(name);
  Secret<32> key;
  if (sealed.size() < crypto::kAeadTagSize) return damaged();
  if (!unwrap(m_key, aad, wrapped_key, key.mutable_view()) && !unwrap_previous(aad, wrapped_key, key.mutable_view()))
    return damaged();
  SecretBytes out(sealed.size() - crypto::kAeadTagSize);
  if (!crypto::xchacha_open(key.view(), kOnlyNonce, aad, sealed, out.mutable_view())) return damaged();
  return out;
}

Result<std::optional<Bytes>> Sealer::rewrap(const ChunkName& name, ByteView wrapped_key) {
  const Bytes aad = chunk_aad(name);
  Secret<32> key;
  if (unwrap(m_key, aad, wrapped_key, key.mutable_view())) return std::optional<Bytes>();
  if (!unwrap_previous(aad, wrapped_key, key.mutable_view())) return damaged();
  return wrap(aad, key.view());
}

Result<Bytes> Sealer::make_check() {
  return wrap(as_bytes(kCheckLabel), std::array<std::uint8_t, kCheckSize>{});
}

bool Sealer::is_check(ByteView value) const {
  std::array<std::uint8_t, kCheckSize> opened{};
  return unwrap(m_key, as_bytes(kCheckLabel), value, opened).has_value();
}

bool Sealer::is_previous_check(ByteView value) const {
  std::array<std::uint8_t, kCheckSize> opened{};
  return unwrap_previous(as_bytes(kCheckLabel), value, opened).has_value();
}

}  // namespace quipu::store
