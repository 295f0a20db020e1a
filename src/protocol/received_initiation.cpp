// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/assert.h"
#include "protocol/handshake.h"
#include "protocol/macs.h"
#include "protocol/messages.h"
#include "protocol/noise.h"
#include "protocol/payloads.h"
#include "protocol/psk.h"

namespace quipu::protocol {

struct ReceivedInitiation::State {
  SymmetricState symmetric;  // after message 1
  crypto::X25519PublicKey ephemeral;
  crypto::KemEncapsulationKey encapsulation_key;
  crypto::X25519PublicKey peer;
  SessionIndex remote;
  InitiationPayload payload;
};

ReceivedInitiation::ReceivedInitiation(std::unique_ptr<State> state) : m_state(std::move(state)) {}

ReceivedInitiation::ReceivedInitiation(ReceivedInitiation&&) noexcept = default;
ReceivedInitiation& ReceivedInitiation::operator=(ReceivedInitiation&&) noexcept = default;
ReceivedInitiation::~ReceivedInitiation() = default;

const crypto::X25519PublicKey& ReceivedInitiation::peer() const {
  return m_state->peer;
}

const InitiationPayload& ReceivedInitiation::payload() const {
  return m_state->payload;
}

SessionIndex ReceivedInitiation::remote() const {
  return m_state->remote;
}

Outcome<ReceivedInitiation> ReceivedInitiation::consume(
    ByteView message, const Identity& own,
    const std::function<const PreSharedKey*(const crypto::X25519PublicKey&)>& psk_of) {
  QUIPU_TRY_ASSIGN(const InitiationFields fields, parse_initiation(message));
  QUIPU_TRY(check_mac1(message, own.public_key));
  SymmetricState symmetric = start_handshake(own.public_key);
  symmetric.mix_hash(fields.header);
  // e, es
  mix_ephemeral(symmetric, fields.ephemeral);
  QUIPU_TRY(mix_x25519(symmetric, own.private_key, fields.ephemeral));
  // e1
  crypto::KemEncapsulationKey encapsulation_key{};
  QUIPU_TRY(symmetric.decrypt_and_hash(fields.sealed_encapsulation_key, encapsulation_key));
  // s
  std::array<std::uint8_t, crypto::kX25519Size> static_key{};
  QUIPU_TRY(symmetric.decrypt_and_hash(fields.sealed_static_key, static_key));
  const crypto::X25519PublicKey peer(static_key);
  const PreSharedKey* const psk = psk_of(peer);
  if (psk == nullptr) return std::unexpected(Errc::not_found);
  // ss
  QUIPU_TRY(mix_x25519(symmetric, own.private_key, peer));
  // psk(1), payload 1
  symmetric.mix_key_and_hash(derive_psk1(*psk).view());
  Bytes plaintext(fields.sealed_payload.size() - crypto::kAeadTagSize);
  QUIPU_TRY(symmetric.decrypt_and_hash(fields.sealed_payload, plaintext));
  QUIPU_TRY_ASSIGN(InitiationPayload payload, decode_initiation_payload(plaintext));
  return ReceivedInitiation(std::make_unique<State>(
      State{std::move(symmetric), fields.ephemeral, encapsulation_key, peer, fields.sender, std::move(payload)}));
}

Outcome<ReceivedInitiation::Answer> ReceivedInitiation::create_response(SessionIndex local, AcceptedKeys accepted,
                                                                        std::span<const QkdKey> keys,
                                                                        const ResponsePayload& payload,
                                                                        crypto::Rng& rng) const {
  if (!keys_match(m_state->payload.keys, accepted, keys)) return std::unexpected(Errc::conflict);
  QUIPU_TRY_ASSIGN(const Bytes plaintext, encode_response_payload(payload));
  Bytes message(kResponseSize);
  ByteWriter writer(message);
  SymmetricState symmetric = m_state->symmetric.clone();

  const MutableBytes header = writer.reserve(kResponseHeaderSize);
  write_response_header(header, local, m_state->remote, accepted.value());
  symmetric.mix_hash(header);
  // e, ee
  const crypto::X25519PrivateKey ephemeral = crypto::generate_x25519(rng);
  const crypto::X25519PublicKey ephemeral_public = crypto::x25519_public_key(ephemeral);
  writer.bytes(ephemeral_public.value());
  mix_ephemeral(symmetric, ephemeral_public);
  QUIPU_TRY(mix_x25519(symmetric, ephemeral, m_state->ephemeral));
  // ekem1
  QUIPU_TRY_ASSIGN(const crypto::KemEncapsulation kem, crypto::encapsulate(m_state->encapsulation_key, rng));
  symmetric.encrypt_and_hash(kem.ciphertext, writer.reserve(kSealedCiphertextSize));
  symmetric.mix_key(kem.shared_secret.view());
  // se
  QUIPU_TRY(mix_x25519(symmetric, ephemeral, m_state->peer));
  // psk(2), payload 2
  symmetric.mix_key_and_hash(derive_psk2(accepted, m_state->payload.policy, keys).view());
  symmetric.encrypt_and_hash(plaintext, writer.reserve(plaintext.size() + crypto::kAeadTagSize));
  write_macs(message, m_state->peer);
  return Answer{std::move(message), finish_handshake(symmetric, local, m_state->remote, false,
                                                     std::min(m_state->payload.lanes, payload.lanes))};
}

Bytes ReceivedInitiation::create_reject(const Reject& reject, crypto::Rng& rng) const {
  Bytes message(kRejectSize);
  ByteWriter writer(message);
  std::array<std::uint8_t, kRejectSaltSize> salt{};
  rng.fill(salt);
  const MutableBytes header = writer.reserve(kRejectHeaderSize);
  write_reject_header(header, m_state->remote, salt);
  RejectSeal seal(m_state->symmetric, header, salt);
  const auto sealed = seal.aead.seal(seal.nonce, seal.associated_data, encode_reject(reject),
                                     writer.reserve(kRejectPayloadSize + crypto::kAeadTagSize));
  QUIPU_ASSERT(sealed.has_value());
  write_macs(message, m_state->peer);
  return message;
}

}  // namespace quipu::protocol
