// SPDX-License-Identifier: Apache-2.0
// The cryptography of one handshake, without timers, retries or policy (those are peer_machine.h):
// Noise_IKhfs+psk1+psk2 with X25519, ML-KEM-768, AES-256-GCM and SHA-512. docs/protocol.md, "Handshake". Every function
// is pure but for the Rng.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/x25519.h"
#include "protocol/ids.h"

namespace quipu::protocol {

using PreSharedKey = Secret<32>;

struct Identity {
  crypto::X25519PrivateKey private_key;
  crypto::X25519PublicKey public_key;
};

enum class KeyKind : std::uint8_t { etsi014 = 1, etsi004 = 2 };

// Names one QKD key without holding it. `slot` is the position of its source in the policy, from 0.
struct KeyReference {
  std::uint8_t slot = 0;
  KeyKind kind = KeyKind::etsi014;
  KeyId key_id;             // etsi014: 1 to 64 octets as the KMS wrote it
  Uuid key_stream_id;       // etsi004
  std::uint32_t index = 0;  // etsi004

  bool operator==(const KeyReference&) const = default;
};

// A QKD key as it enters psk(2), with all that psk(2) binds.
struct QkdKey {
  KeyReference reference;
  SaeId master;
  SaeId slave;
  Secret<32> key;
};

// Bit i stands for the i-th key reference of message 1.
using AcceptedKeys = Strong<struct AcceptedKeysTag, std::uint16_t>;

struct InitiationPayload {
  Stamp stamp;
  TunnelId tunnel;
  Bytes policy;  // canonical encoding or its hash (policy.h); compared octet by octet
  std::uint8_t lanes = 1;
  std::vector<KeyReference> keys;
};

struct ResponsePayload {
  Stamp stamp;  // echo
  std::uint8_t lanes = 1;
  std::uint32_t key_runway_s = 0;
};

enum class RejectReason : std::uint8_t {
  key_unknown = 1,
  kms_unavailable = 2,
  busy = 3,
  expired = 4,
  policy_mismatch = 5,
  stamp_stale = 6,
};

struct Reject {
  RejectReason reason;
  Stamp highest_stamp;  // stamp_stale only
  Bytes policy;         // policy_mismatch only: the responder's own, so that both logs show both
};

// What a finished handshake leaves: enough to make the data keys of every lane (keypair.h).
struct SessionSecrets {
  Secret<64> chaining_key;
  crypto::Hash transcript;
  SessionIndex local;
  SessionIndex remote;
  bool initiator = false;
  std::uint8_t lanes = 1;  // that both ends have
};

struct ResponseHeader {
  SessionIndex sender;
  SessionIndex receiver;
  AcceptedKeys accepted;
};

// Messages of type 1, 2 and 6: shape and mac1 only: cheap, no state. Anything else about the message is still unproven.
// The consume functions below check it again. Errc::malformed or Errc::authentication.
Outcome<void> check_mac1(ByteView message, const crypto::X25519PublicKey& own);
Outcome<ResponseHeader> parse_response_header(ByteView message);

// The initiator's side of one attempt. Errors of its functions: Errc::malformed (shape, or what was sealed does not
// parse), authentication (mac1 or a tag), bad_key (X25519 or ML-KEM refused), not_found (for another attempt), conflict
// (keys that are not those of the bitmap, or not those that the peer used), out_of_range (a payload that does not fit).
class Initiation {
 public:
  // Keys of the payload: at most 16, in ascending order of slot, slots below 16. Policy: at most 64 octets.
  static Outcome<Initiation> create(const Identity& own, const crypto::X25519PublicKey& peer, const PreSharedKey& psk,
                                    SessionIndex local, const InitiationPayload& payload, crypto::Rng& rng);

  Initiation(Initiation&&) noexcept;
  Initiation& operator=(Initiation&&) noexcept;
  ~Initiation();

  // The same octets at every repetition; mac2 is the caller's to fill when it holds a cookie.
  const Bytes& message() const { return m_message; }

  SessionIndex local() const { return m_local; }

  struct Response {
    SessionSecrets secrets;
    ResponsePayload payload;
  };

  // `keys`: those accepted by the message's bitmap, in slot order. Changes nothing in *this, whatever happens.
  Outcome<Response> consume_response(ByteView message, std::span<const QkdKey> keys) const;
  Outcome<Reject> consume_reject(ByteView message) const;

 private:
  struct State;
  explicit Initiation(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;  // chaining key, transcript hash, ephemeral keys, static private key
  Bytes m_message;
  SessionIndex m_local;
};

// A message 1 that opened: the sender is proven by X25519 and by the pre-shared key. At most 2 kB.
class ReceivedInitiation {
 public:
  // `psk_of` answers with the pre-shared key of a known peer, or nothing. Order of work as in docs/protocol.md.
  static Outcome<ReceivedInitiation> consume(
      ByteView message, const Identity& own,
      const std::function<const PreSharedKey*(const crypto::X25519PublicKey&)>& psk_of);

  ReceivedInitiation(ReceivedInitiation&&) noexcept;
  ReceivedInitiation& operator=(ReceivedInitiation&&) noexcept;
  ~ReceivedInitiation();

  const crypto::X25519PublicKey& peer() const;
  const InitiationPayload& payload() const;
  SessionIndex remote() const;

  struct Answer {
    Bytes message;
    SessionSecrets secrets;
  };

  // `keys`: exactly those of `accepted`, in slot order (else Errc::conflict).
  Outcome<Answer> create_response(SessionIndex local, AcceptedKeys accepted, std::span<const QkdKey> keys,
                                  const ResponsePayload& payload, crypto::Rng& rng) const;
  // The policy is left out when it is longer than 255 octets.
  Bytes create_reject(const Reject& reject, crypto::Rng& rng) const;

 private:
  struct State;
  explicit ReceivedInitiation(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace quipu::protocol
