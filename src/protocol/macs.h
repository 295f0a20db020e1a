// SPDX-License-Identifier: Apache-2.0
// The two MACs at the end of messages 1, 2 and 6. mac1 shows that the sender knows whom it talks to; mac2 that it reads
// what is sent to its address (cookie.h).
#pragma once

#include "crypto/hash.h"
#include "crypto/x25519.h"
#include "protocol/messages.h"

namespace quipu::protocol {

// Views of the parts of a message that ends in both MACs; the caller has checked that it is long enough.
inline ByteView before_mac1(ByteView message) {
  return message.first(message.size() - kMacsSize);
}

inline ByteView before_mac2(ByteView message) {
  return message.first(message.size() - crypto::kMacSize);
}

inline ByteView mac1_of(ByteView message) {
  return message.last(kMacsSize).first(crypto::kMacSize);
}

inline ByteView mac2_of(ByteView message) {
  return message.last(crypto::kMacSize);
}

// Writes mac1 for the holder of `receiver` and sets mac2 to zeros.
void write_macs(MutableBytes message, const crypto::X25519PublicKey& receiver);

}  // namespace quipu::protocol
