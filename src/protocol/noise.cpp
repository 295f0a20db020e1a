// SPDX-License-Identifier: Apache-2.0
#include "protocol/noise.h"

#include <algorithm>

#include "protocol/labels.h"

namespace quipu::protocol {
namespace {

Secret<44> reject_key(const SymmetricState& state, ByteView salt) {
  Secret<44> out;
  crypto::hkdf_expand(state.chaining_key().view(), {as_bytes(labels::kReject), salt, state.transcript()},
                      out.mutable_view());
  return out;
}

}  // namespace

SymmetricState start_handshake(const crypto::X25519PublicKey& responder) {
  SymmetricState state(as_bytes(labels::kNoiseName));
  std::array<std::uint8_t, labels::kPrologue.size() + 1> prologue{};
  ByteWriter writer(prologue);
  writer.bytes(as_bytes(labels::kPrologue)).u8(labels::kSuite);
  state.mix_hash(writer.written());
  state.mix_hash(responder.value());
  return state;
}

void mix_ephemeral(SymmetricState& state, const crypto::X25519PublicKey& ephemeral) {
  state.mix_hash(ephemeral.value());
  state.mix_key(ephemeral.value());
}

Outcome<void> mix_x25519(SymmetricState& state, const crypto::X25519PrivateKey& own,
                         const crypto::X25519PublicKey& peer) {
  QUIPU_TRY_ASSIGN(const crypto::X25519SharedSecret shared, crypto::x25519(own, peer));
  state.mix_key(shared.view());
  return {};
}

SessionSecrets finish_handshake(const SymmetricState& state, SessionIndex local, SessionIndex remote, bool initiator,
                                std::uint8_t lanes) {
  return {state.chaining_key().clone(), state.transcript(), local, remote, initiator, lanes};
}

RejectSeal::RejectSeal(const SymmetricState& state, ByteView header, ByteView salt)
    : RejectSeal(reject_key(state, salt), header, state) {}

RejectSeal::RejectSeal(const Secret<44>& key_and_nonce, ByteView header, const SymmetricState& state)
    : aead(key_and_nonce.view().first<crypto::kAeadKeySize>()), associated_data(header.begin(), header.end()) {
  std::ranges::copy(key_and_nonce.view().last<crypto::kAeadNonceSize>(), nonce.begin());
  associated_data.insert(associated_data.end(), state.transcript().begin(), state.transcript().end());
}

}  // namespace quipu::protocol
