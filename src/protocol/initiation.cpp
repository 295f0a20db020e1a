// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "protocol/handshake.h"
#include "protocol/macs.h"
#include "protocol/messages.h"
#include "protocol/noise.h"
#include "protocol/payloads.h"
#include "protocol/psk.h"

namespace quipu::protocol {

struct Initiation::State {
  SymmetricState symmetric;  // after message 1
  crypto::X25519PrivateKey ephemeral;
  Secret<crypto::kKemSeedSize> kem_seed;
  crypto::X25519PrivateKey static_key;
  crypto::X25519PublicKey own;
  Stamp stamp;
  std::uint8_t lanes = 1;
  Bytes policy;
  std::vector<KeyReference> keys;
};

Initiation::Initiation(std::unique_ptr<State> state) : m_state(std::move(state)) {}

Initiation::Initiation(Initiation&&) noexcept = default;
Initiation& Initiation::operator=(Initiation&&) noexcept = default;
Initiation::~Initiation() = default;

Outcome<Initiation> Initiation::create(const Identity& own, const crypto::X25519PublicKey& peer,
                                       const PreSharedKey& psk, SessionIndex local, const InitiationPayload& payload,
                                       crypto::Rng& rng) {
  QUIPU_TRY_ASSIGN(const Bytes plaintext, encode_initiation_payload(payload));
  Bytes message(kInitiationFixedSize + plaintext.size());
  ByteWriter writer(message);
  SymmetricState symmetric = start_handshake(peer);

  const MutableBytes header = writer.reserve(kInitiationHeaderSize);
  write_initiation_header(header, local);
  symmetric.mix_hash(header);
  // e
  crypto::X25519PrivateKey ephemeral = crypto::generate_x25519(rng);
  const crypto::X25519PublicKey ephemeral_public = crypto::x25519_public_key(ephemeral);
  writer.bytes(ephemeral_public.value());
  mix_ephemeral(symmetric, ephemeral_public);
  // es
  QUIPU_TRY(mix_x25519(symmetric, ephemeral, peer));
  // e1
  crypto::KemKeyPair kem = crypto::generate_kem(rng);
  symmetric.encrypt_and_hash(kem.encapsulation_key, writer.reserve(kSealedEncapsulationKeySize));
  // s
  symmetric.encrypt_and_hash(own.public_key.value(), writer.reserve(kSealedStaticKeySize));
  // ss
  QUIPU_TRY(mix_x25519(symmetric, own.private_key, peer));
  // psk(1), payload 1
  symmetric.mix_key_and_hash(derive_psk1(psk).view());
  symmetric.encrypt_and_hash(plaintext, writer.reserve(plaintext.size() + crypto::kAeadTagSize));
  write_macs(message, peer);

  Initiation out(std::make_unique<State>(State{std::move(symmetric), std::move(ephemeral), std::move(kem.seed),
                                               own.private_key.clone(), own.public_key, payload.stamp, payload.lanes,
                                               payload.policy, payload.keys}));
  out.m_message = std::move(message);
  out.m_local = local;
  return out;
}

Outcome<ResponseHeader> parse_response_header(ByteView message) {
  QUIPU_TRY_ASSIGN(const ResponseFields fields, parse_response(message));
  return ResponseHeader{fields.sender, fields.receiver, AcceptedKeys(fields.accepted)};
}

Outcome<Initiation::Response> Initiation::consume_response(ByteView message, std::span<const QkdKey> keys) const {
  QUIPU_TRY_ASSIGN(const ResponseFields fields, parse_response(message));
  QUIPU_TRY(check_mac1(message, m_state->own));
  if (fields.receiver != m_local) return std::unexpected(Errc::not_found);
  const AcceptedKeys accepted(fields.accepted);
  if (!keys_match(m_state->keys, accepted, keys)) return std::unexpected(Errc::conflict);

  SymmetricState symmetric = m_state->symmetric.clone();
  symmetric.mix_hash(fields.header);
  // e, ee
  mix_ephemeral(symmetric, fields.ephemeral);
  QUIPU_TRY(mix_x25519(symmetric, m_state->ephemeral, fields.ephemeral));
  // ekem1
  crypto::KemCiphertext ciphertext{};
  QUIPU_TRY(symmetric.decrypt_and_hash(fields.sealed_ciphertext, ciphertext));
  QUIPU_TRY_ASSIGN(const crypto::KemSharedSecret shared, crypto::decapsulate(m_state->kem_seed, ciphertext));
  symmetric.mix_key(shared.view());
  // se
  QUIPU_TRY(mix_x25519(symmetric, m_state->static_key, fields.ephemeral));
  // psk(2), payload 2
  symmetric.mix_key_and_hash(derive_psk2(accepted, m_state->policy, keys).view());
  std::array<std::uint8_t, kResponsePayloadSize> plaintext{};
  // Up to here the peer has proven itself by its static key and by psk(1); from here on the QKD keys count.
  if (!symmetric.decrypt_and_hash(fields.sealed_payload, plaintext)) return std::unexpected(Errc::conflict);
  QUIPU_TRY_ASSIGN(const ResponsePayload payload, decode_response_payload(plaintext));
  if (payload.stamp != m_state->stamp) return std::unexpected(Errc::malformed);
  return Response{finish_handshake(symmetric, m_local, fields.sender, true, std::min(m_state->lanes, payload.lanes)),
                  payload};
}

Outcome<Reject> Initiation::consume_reject(ByteView message) const {
  QUIPU_TRY_ASSIGN(const RejectFields fields, parse_reject(message));
  QUIPU_TRY(check_mac1(message, m_state->own));
  if (fields.receiver != m_local) return std::unexpected(Errc::not_found);
  RejectSeal seal(m_state->symmetric, fields.header, fields.salt);
  std::array<std::uint8_t, kRejectPayloadSize> plaintext{};
  QUIPU_TRY(seal.aead.open(seal.nonce, seal.associated_data, fields.sealed_payload, plaintext));
  return decode_reject(plaintext);
}

}  // namespace quipu::protocol
