// SPDX-License-Identifier: Apache-2.0
// What is sealed inside handshake messages. Each value has exactly one encoding. docs/protocol.md, "Payloads".
#pragma once

#include "protocol/handshake.h"

namespace quipu::protocol {

inline constexpr std::size_t kMaxPolicySize = 64;

// Errc::out_of_range: more than 16 keys, slots not ascending or above 15, key_IDs empty or longer than 64 octets, a
// policy longer than 64 octets, lanes not 1 to 16.
Outcome<Bytes> encode_initiation_payload(const InitiationPayload& payload);
// Errc::malformed for all that the encoder would not have written.
Outcome<InitiationPayload> decode_initiation_payload(ByteView octets);

Outcome<Bytes> encode_response_payload(const ResponsePayload& payload);
Outcome<ResponsePayload> decode_response_payload(ByteView octets);

// Writes what the reason calls for and leaves the rest out.
Bytes encode_reject(const Reject& reject);
Outcome<Reject> decode_reject(ByteView octets);

}  // namespace quipu::protocol
