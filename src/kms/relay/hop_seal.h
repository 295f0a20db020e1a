// SPDX-License-Identifier: Apache-2.0
// One hop's encryption: one-time pad and Wegman-Carter tag, both of fresh key of the link (docs/km-link.md). Secure
// against any computing power; the pad is used up whether or not the hop succeeds.
#pragma once

#include "kms/link_message.h"

namespace quipu::kms {

// Slots that a block of so many octets needs: its pad and the key of the tag.
constexpr std::uint32_t hop_slots(std::size_t block) {
  return static_cast<std::uint32_t>(block / kSlotSize) + crypto::kOneTimeKeySize / kSlotSize;
}

// Fills in ciphertext and tag; all else of `hop` is set. `pad` has hop_slots() slots.
void seal_hop(wire::RelayHop& hop, ByteView block, ByteView pad);
// The block; empty when the tag does not fit. `pad`: as many octets as hop.pad says.
SecretBytes open_hop(const wire::RelayHop& hop, ByteView pad);

}  // namespace quipu::kms
