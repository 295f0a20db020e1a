// SPDX-License-Identifier: Apache-2.0
// One hop's encryption, under fresh key of its link.
#pragma once

#include "kms/link_message.h"
#include "kms/pad_seal.h"

namespace quipu::kms {

// Fills in ciphertext and tag; all else of `hop` is set. `pad`: pad_slots() slots for the block.
void seal_hop(wire::RelayHop& hop, ByteView block, ByteView pad);
// The block; empty when the tag does not fit. `pad`: as many octets as hop.pad says.
SecretBytes open_hop(const wire::RelayHop& hop, ByteView pad);

}  // namespace quipu::kms
