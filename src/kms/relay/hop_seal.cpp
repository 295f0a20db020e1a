// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/hop_seal.h"

namespace quipu::kms {

void seal_hop(wire::RelayHop& hop, ByteView block, ByteView pad) {
  hop.ciphertext.resize(block.size());  // its length is authenticated too
  PadSealed sealed = seal_with_pad(block, pad, wire::relay_associated_data(hop));
  hop.ciphertext = std::move(sealed.ciphertext);
  hop.tag = sealed.tag;
}

SecretBytes open_hop(const wire::RelayHop& hop, ByteView pad) {
  return open_with_pad(hop.ciphertext, hop.tag, pad, wire::relay_associated_data(hop));
}

}  // namespace quipu::kms
