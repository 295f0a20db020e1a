// SPDX-License-Identifier: Apache-2.0
#include "kms/pad_seal.h"

namespace quipu::kms {
namespace {

void apply_pad(ByteView in, ByteView pad, MutableBytes out) {
  QUIPU_ASSERT(pad.size() == std::size_t{pad_slots(in.size())} * kSlotSize && out.size() == in.size());
  const ByteView stream = pad.subspan(crypto::kOneTimeKeySize);
  for (std::size_t i = 0; i < in.size(); ++i)
    out[i] = static_cast<std::uint8_t>(in[i] ^ stream[i]);
}

crypto::OneTimeTag tag_of(ByteView ciphertext, ByteView pad, ByteView associated) {
  return crypto::one_time_tag(pad.first<crypto::kOneTimeKeySize>(), {associated, ciphertext});
}

}  // namespace

PadSealed seal_with_pad(ByteView octets, ByteView pad, ByteView associated) {
  PadSealed sealed{Bytes(octets.size()), {}};
  apply_pad(octets, pad, sealed.ciphertext);
  sealed.tag = tag_of(sealed.ciphertext, pad, associated);
  return sealed;
}

SecretBytes open_with_pad(const Bytes& ciphertext, const crypto::OneTimeTag& tag, ByteView pad, ByteView associated) {
  if (!constant_time_equal(tag_of(ciphertext, pad, associated), tag)) return {};
  SecretBytes octets(ciphertext.size());
  apply_pad(ciphertext, pad, octets.mutable_view());
  return octets;
}

}  // namespace quipu::kms
