// SPDX-License-Identifier: Apache-2.0
// Encryption between two KMEs: one-time pad and Wegman-Carter tag, both of fresh key of their pool (docs/km-link.md).
// Secure against any computing power; the pad is used up whether or not the message gets there.
#pragma once

#include "base/secret.h"
#include "crypto/one_time_auth.h"
#include "kms/records.h"

namespace quipu::kms {

struct PadSealed {
  Bytes ciphertext;  // as long as what was sealed
  crypto::OneTimeTag tag{};
};

// Slots for so many octets: the key of the tag, then their pad in whole slots.
constexpr std::uint32_t pad_slots(std::size_t octets) {
  return static_cast<std::uint32_t>((octets + kSlotSize - 1) / kSlotSize) + crypto::kOneTimeKeySize / kSlotSize;
}

// `pad`: pad_slots() slots, never used before or after. The tag is over `associated` and the ciphertext.
PadSealed seal_with_pad(ByteView octets, ByteView pad, ByteView associated);
// Empty when the tag does not fit.
SecretBytes open_with_pad(const Bytes& ciphertext, const crypto::OneTimeTag& tag, ByteView pad, ByteView associated);

}  // namespace quipu::kms
