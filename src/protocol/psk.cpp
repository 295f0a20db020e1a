// SPDX-License-Identifier: Apache-2.0
#include "protocol/psk.h"

#include "base/assert.h"
#include "crypto/hash.h"
#include "protocol/labels.h"
#include "protocol/messages.h"

namespace quipu::protocol {
namespace {

constexpr std::size_t kKeySize = 32;

HandshakePsk derive(std::string_view label, ByteView input, ByteView info) {
  HandshakePsk out;
  crypto::hkdf_expand(crypto::hkdf_extract(as_bytes(label), input).view(), {info}, out.mutable_view());
  return out;
}

SecretBytes length_prefixed(std::span<const QkdKey> keys) {
  SecretBytes out(keys.size() * (2 + kKeySize));
  ByteWriter writer(out.mutable_view());
  for (const QkdKey& key : keys)
    writer.prefixed16(key.key.view());
  QUIPU_ASSERT(writer.ok() && writer.size() == out.size());
  return out;
}

void write_key(ByteWriter& writer, const QkdKey& key) {
  writer.u8(static_cast<std::uint8_t>(key.reference.kind)).u8(key.reference.slot);
  writer.prefixed16(as_bytes(key.master.value())).prefixed16(as_bytes(key.slave.value()));
  if (key.reference.kind == KeyKind::etsi014)
    writer.prefixed16(as_bytes(key.reference.key_id.value()));
  else
    writer.bytes(key.reference.key_stream_id.octets).u32(key.reference.index);
}

std::size_t info_size(ByteView policy, std::span<const QkdKey> keys) {
  std::size_t size = 2 + 2 + policy.size() + 1;
  for (const QkdKey& key : keys)
    size += 1 + 1 + 2 + key.master.value().size() + 2 + key.slave.value().size() +
            (key.reference.kind == KeyKind::etsi014 ? 2 + key.reference.key_id.value().size() : 16 + 4);
  return size;
}

}  // namespace

HandshakePsk derive_psk1(const PreSharedKey& key) {
  return derive(labels::kPsk1, key.view(), {});
}

HandshakePsk derive_psk2(AcceptedKeys accepted, ByteView policy, std::span<const QkdKey> keys) {
  Bytes info(info_size(policy, keys));
  ByteWriter writer(info);
  writer.u16(accepted.value()).prefixed16(policy).u8(static_cast<std::uint8_t>(keys.size()));
  for (const QkdKey& key : keys)
    write_key(writer, key);
  QUIPU_ASSERT(writer.ok() && writer.size() == info.size());
  return derive(labels::kPsk2, length_prefixed(keys).view(), info);
}

bool keys_match(std::span<const KeyReference> references, AcceptedKeys accepted, std::span<const QkdKey> keys) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < kMaxKeyReferences; ++i) {
    if ((accepted.value() >> i & 1U) == 0) continue;
    if (i >= references.size() || used == keys.size() || keys[used].reference != references[i]) return false;
    ++used;
  }
  return used == keys.size();
}

}  // namespace quipu::protocol
