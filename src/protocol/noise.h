// SPDX-License-Identifier: Apache-2.0
// The tokens of the handshake pattern, one function each, so that the two sides read like the pattern:
//   <- s
//   ...
//   -> e, es, e1, s, ss, psk(1), payload 1
//   <- e, ee, ekem1, se, psk(2), payload 2
#pragma once

#include "crypto/kem.h"
#include "protocol/handshake.h"
#include "protocol/symmetric_state.h"

namespace quipu::protocol {

// Name, prologue and the pre-message.
SymmetricState start_handshake(const crypto::X25519PublicKey& responder);

// Token e on either side: as the pattern has psk tokens, the ephemeral key enters the chaining key as well.
void mix_ephemeral(SymmetricState& state, const crypto::X25519PublicKey& ephemeral);

// Tokens es, ss, ee, se. Errc::bad_key when the result is all zeros.
Outcome<void> mix_x25519(SymmetricState& state, const crypto::X25519PrivateKey& own,
                         const crypto::X25519PublicKey& peer);

// Split, without its two keys: those of each lane follow from the chaining key and the transcript.
SessionSecrets finish_handshake(const SymmetricState& state, SessionIndex local, SessionIndex remote, bool initiator,
                                std::uint8_t lanes);

// Key and nonce under which the reject to the message 1 that led to `state` is sealed; `salt` is in its header.
struct RejectSeal {
  RejectSeal(const SymmetricState& state, ByteView header, ByteView salt);

  crypto::Aead aead;
  crypto::AeadNonce nonce;
  Bytes associated_data;

 private:
  RejectSeal(const Secret<44>& key_and_nonce, ByteView header, const SymmetricState& state);
};

}  // namespace quipu::protocol
