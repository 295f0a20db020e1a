// SPDX-License-Identifier: Apache-2.0
// Two parties and a whole handshake between them, every input under the test's control.
#pragma once

#include <cstdlib>
#include <string>

#include "crypto/hash.h"
#include "protocol/handshake.h"
#include "protocol/keypair.h"
#include "support/fixed_rng.h"

namespace quipu::test {

// Of the lane that the datagram names.
inline Outcome<protocol::OpenedFrame> open(protocol::Keypair& keypair, MutableBytes datagram) {
  return keypair.open(protocol::Lane(datagram.size() > 2 ? datagram[2] : 0), datagram);
}

template <std::size_t N>
Secret<N> secret_named(const std::string& name) {
  SeededRng rng(name);
  Secret<N> out;
  rng.fill(out.mutable_view());
  return out;
}

inline protocol::Identity identity_named(const std::string& name) {
  protocol::Identity out{secret_named<32>(name), {}};
  out.public_key = crypto::x25519_public_key(out.private_key);
  return out;
}

// A key as a KMS would hand it out; the key_ID is a UUID made from the name.
inline protocol::QkdKey qkd_key_named(const std::string& name, std::uint8_t slot) {
  SeededRng rng("key_ID of " + name);
  std::array<std::uint8_t, 16> id{};
  rng.fill(id);
  protocol::QkdKey out;
  out.reference.slot = slot;
  out.reference.key_id = KeyId(Uuid::from_random(id).text());
  out.master = SaeId("sae-a");
  out.slave = SaeId("sae-b");
  out.key = secret_named<32>(name);
  return out;
}

// Everything that decides a handshake. The defaults are a working one without QKD keys; `keys` are those accepted, out
// of the references in the payload.
struct Scenario {
  protocol::Identity initiator = identity_named("initiator");
  protocol::Identity responder = identity_named("responder");
  crypto::X25519PublicKey expected_responder = responder.public_key;
  protocol::PreSharedKey initiator_psk = secret_named<32>("pre-shared key");
  protocol::PreSharedKey responder_psk = initiator_psk.clone();
  protocol::SessionIndex initiator_index{0x01020304};
  protocol::SessionIndex responder_index{0x0a0b0c0d};
  protocol::InitiationPayload payload{protocol::Stamp{1000}, protocol::TunnelId{7}, Bytes{1, 2, 3}, 2, {}};
  protocol::AcceptedKeys accepted{0};
  std::vector<protocol::QkdKey> initiator_keys;
  std::vector<protocol::QkdKey> responder_keys;
  protocol::ResponsePayload answer{protocol::Stamp{1000}, 1, 3600};

  // Both ends hold the key, and it is accepted.
  Scenario& with_key(const std::string& name, std::uint8_t slot) {
    initiator_keys.push_back(qkd_key_named(name, slot));
    responder_keys.push_back(qkd_key_named(name, slot));
    accepted = protocol::AcceptedKeys(static_cast<std::uint16_t>(accepted.value() | 1U << payload.keys.size()));
    payload.keys.push_back(initiator_keys.back().reference);
    return *this;
  }

  auto psk_lookup() const {
    return
        [this](const crypto::X25519PublicKey& peer) { return peer == initiator.public_key ? &responder_psk : nullptr; };
  }

  Outcome<protocol::Initiation> initiate(crypto::Rng& rng) const {
    return protocol::Initiation::create(initiator, expected_responder, initiator_psk, initiator_index, payload, rng);
  }

  Outcome<protocol::ReceivedInitiation> receive(ByteView message) const {
    return protocol::ReceivedInitiation::consume(message, responder, psk_lookup());
  }

  Outcome<protocol::ReceivedInitiation::Answer> respond(const protocol::ReceivedInitiation& received,
                                                        crypto::Rng& rng) const {
    return received.create_response(responder_index, accepted, responder_keys, answer, rng);
  }
};

struct Finished {
  Bytes message1;
  Bytes message2;
  protocol::SessionSecrets initiator;
  protocol::SessionSecrets responder;
  protocol::ResponsePayload payload2;
};

// All four steps, or the first error. Each side has its own source of randomness.
inline Outcome<Finished> run(const Scenario& scenario, crypto::Rng& initiator_rng, crypto::Rng& responder_rng) {
  QUIPU_TRY_ASSIGN(const protocol::Initiation initiation, scenario.initiate(initiator_rng));
  QUIPU_TRY_ASSIGN(const protocol::ReceivedInitiation received, scenario.receive(initiation.message()));
  QUIPU_TRY_ASSIGN(protocol::ReceivedInitiation::Answer answer, scenario.respond(received, responder_rng));
  QUIPU_TRY_ASSIGN(protocol::Initiation::Response response,
                   initiation.consume_response(answer.message, scenario.initiator_keys));
  return Finished{initiation.message(), std::move(answer.message), std::move(response.secrets),
                  std::move(answer.secrets), response.payload};
}

inline Outcome<Finished> run(const Scenario& scenario) {
  SeededRng initiator_rng("randomness of the initiator");
  SeededRng responder_rng("randomness of the responder");
  return run(scenario, initiator_rng, responder_rng);
}

inline bool agree(const protocol::SessionSecrets& a, const protocol::SessionSecrets& b) {
  return a.chaining_key == b.chaining_key && a.transcript == b.transcript && a.local == b.remote &&
         a.remote == b.local && a.initiator != b.initiator && a.lanes == b.lanes;
}

inline protocol::SessionSecrets copy_of(const protocol::SessionSecrets& secrets) {
  return {secrets.chaining_key.clone(),
          secrets.transcript,
          secrets.local,
          secrets.remote,
          secrets.initiator,
          secrets.lanes};
}

}  // namespace quipu::test
