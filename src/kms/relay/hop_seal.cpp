// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/hop_seal.h"

namespace quipu::kms {
namespace {

void apply_pad(ByteView in, ByteView pad, MutableBytes out) {
  QUIPU_ASSERT(pad.size() == in.size() + crypto::kOneTimeKeySize && out.size() == in.size());
  const ByteView stream = pad.subspan(crypto::kOneTimeKeySize);
  for (std::size_t i = 0; i < in.size(); ++i)
    out[i] = static_cast<std::uint8_t>(in[i] ^ stream[i]);
}

crypto::OneTimeTag tag_of(const wire::RelayHop& hop, ByteView pad) {
  return crypto::one_time_tag(pad.first<crypto::kOneTimeKeySize>(), {wire::relay_associated_data(hop), hop.ciphertext});
}

}  // namespace

void seal_hop(wire::RelayHop& hop, ByteView block, ByteView pad) {
  hop.ciphertext.resize(block.size());
  apply_pad(block, pad, hop.ciphertext);
  hop.tag = tag_of(hop, pad);
}

SecretBytes open_hop(const wire::RelayHop& hop, ByteView pad) {
  if (!constant_time_equal(tag_of(hop, pad), hop.tag)) return {};
  SecretBytes block(hop.ciphertext.size());
  apply_pad(hop.ciphertext, pad, block.mutable_view());
  return block;
}

}  // namespace quipu::kms
