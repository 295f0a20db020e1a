// SPDX-License-Identifier: Apache-2.0
// Layout of every datagram, before any cryptography: type and length are checked first, all else is a view into the
// datagram. docs/protocol.md, "Messages", prints these tables.
#pragma once

#include <cstddef>
#include <optional>

#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/x25519.h"
#include "protocol/ids.h"

namespace quipu::protocol {

enum class MessageType : std::uint8_t {
  initiation = 1,
  response = 2,
  cookie_reply = 3,
  data = 4,
  reject = 6,
};

inline constexpr std::uint8_t kWireVersion = 1;

// Sizes in octets.
inline constexpr std::size_t kMacsSize = 2 * crypto::kMacSize;  // mac1 || mac2, the end of messages 1, 2 and 6
inline constexpr std::size_t kMaxKeyReferences = 16;            // bits of the accepted bitmap

inline constexpr std::size_t kInitiationHeaderSize = 8;
inline constexpr std::size_t kSealedEncapsulationKeySize = crypto::kKemEncapsulationKeySize + crypto::kAeadTagSize;
inline constexpr std::size_t kSealedStaticKeySize = crypto::kX25519Size + crypto::kAeadTagSize;
inline constexpr std::size_t kInitiationFixedSize = kInitiationHeaderSize + crypto::kX25519Size +
                                                    kSealedEncapsulationKeySize + kSealedStaticKeySize +
                                                    crypto::kAeadTagSize + kMacsSize;
// The payload of message 1 is padded to the first: message 1 then fills one datagram of a 1500-octet IPv6 path, so that
// its length says nothing about the number of keys. Only more than four UUIDs, or long key_IDs, make it longer.
inline constexpr std::size_t kInitiationPayloadSize = 116;
inline constexpr std::size_t kInitiationPayloadMaxSize = 1152;
inline constexpr std::size_t kInitiationSize = kInitiationFixedSize + kInitiationPayloadSize;
inline constexpr std::size_t kInitiationMaxSize = kInitiationFixedSize + kInitiationPayloadMaxSize;
static_assert(kInitiationSize == 1452);

inline constexpr std::size_t kResponseHeaderSize = 12;
inline constexpr std::size_t kSealedCiphertextSize = crypto::kKemCiphertextSize + crypto::kAeadTagSize;
inline constexpr std::size_t kResponsePayloadSize = 16;
inline constexpr std::size_t kResponseSize = kResponseHeaderSize + crypto::kX25519Size + kSealedCiphertextSize +
                                             kResponsePayloadSize + crypto::kAeadTagSize + kMacsSize;

inline constexpr std::size_t kRejectSaltSize = 16;
inline constexpr std::size_t kRejectHeaderSize = 8 + kRejectSaltSize;
inline constexpr std::size_t kRejectPolicyMaxSize = 255;
inline constexpr std::size_t kRejectPayloadSize = 272;
inline constexpr std::size_t kRejectSize = kRejectHeaderSize + kRejectPayloadSize + crypto::kAeadTagSize + kMacsSize;
static_assert(kInitiationSize >= kResponseSize && kResponseSize >= kRejectSize, "no answer outgrows its question");

inline constexpr std::size_t kCookieReplySize = 64;
static_assert(kCookieReplySize <= kRejectSize);

inline constexpr std::size_t kDataHeaderSize = 16;
inline constexpr std::size_t kFrameHeaderSize = 2;
// What a payload grows by as a data packet.
inline constexpr std::size_t kDataOverhead = kDataHeaderSize + kFrameHeaderSize + crypto::kAeadTagSize;

// Nothing when the first octet is no type of this version, or the size is not one that the type can have.
std::optional<MessageType> message_type(ByteView datagram);

// The index that a message of type 2, 3, 4 or 6 names: which attempt or keypair of ours it is for. Errc::malformed for
// anything else.
Outcome<SessionIndex> receiver_index(ByteView datagram);

// Views into a message whose type, size, version and reserved bits are right; nothing in it is proven.
struct InitiationFields {
  SessionIndex sender;
  ByteView header;
  crypto::X25519PublicKey ephemeral;
  ByteView sealed_encapsulation_key;
  ByteView sealed_static_key;
  ByteView sealed_payload;
};

struct ResponseFields {
  SessionIndex sender;
  SessionIndex receiver;
  std::uint16_t accepted = 0;
  ByteView header;
  crypto::X25519PublicKey ephemeral;
  ByteView sealed_ciphertext;
  ByteView sealed_payload;
};

struct RejectFields {
  SessionIndex receiver;
  ByteView header;
  ByteView salt;
  ByteView sealed_payload;
};

struct CookieReplyFields {
  SessionIndex receiver;
  crypto::XChaChaNonce nonce{};
  ByteView sealed_cookie;
};

struct DataFields {
  Lane lane;
  SessionIndex receiver;
  Counter counter;
  ByteView header;
  std::size_t sealed_size = 0;  // what follows the header
};

Outcome<InitiationFields> parse_initiation(ByteView message);
Outcome<ResponseFields> parse_response(ByteView message);
Outcome<RejectFields> parse_reject(ByteView message);
Outcome<CookieReplyFields> parse_cookie_reply(ByteView message);
// The fast path's parser: at most 16 octets are looked at.
Outcome<DataFields> parse_data(ByteView datagram);

// Writers of the clear headers; `out` has exactly the header's size.
void write_initiation_header(MutableBytes out, SessionIndex sender);
void write_response_header(MutableBytes out, SessionIndex sender, SessionIndex receiver, std::uint16_t accepted);
void write_reject_header(MutableBytes out, SessionIndex receiver, ByteView salt);
void write_data_header(MutableBytes out, Lane lane, SessionIndex receiver, Counter counter);

}  // namespace quipu::protocol
