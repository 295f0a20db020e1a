// SPDX-License-Identifier: Apache-2.0
#include "protocol/payloads.h"

#include <algorithm>

#include "protocol/messages.h"

namespace quipu::protocol {
namespace {

// The low half of a key reference's first octet; the slot is the high half. A key_ID that is a UUID in canonical text,
// as nearly all are, travels as its 16 octets.
enum class ReferenceForm : std::uint8_t { text = 1, uuid = 2, stream = 3 };

constexpr auto kMalformed = std::unexpected(Errc::malformed);
constexpr auto kOutOfRange = std::unexpected(Errc::out_of_range);

std::optional<Uuid> canonical_uuid(const KeyId& id) {
  auto uuid = Uuid::parse(id.value());
  if (uuid && uuid->text() != id.value()) uuid.reset();
  return uuid;
}

bool lanes_fit(std::uint8_t lanes) {
  return lanes >= 1 && lanes <= kMaxLanes;
}

bool zeros(ByteView octets) {
  return std::ranges::all_of(octets, [](std::uint8_t octet) { return octet == 0; });
}

bool ascending(const std::vector<KeyReference>& keys) {
  return std::ranges::adjacent_find(keys, [](const auto& a, const auto& b) { return a.slot >= b.slot; }) == keys.end();
}

bool encodable(const InitiationPayload& payload) {
  const auto key_fits = [](const KeyReference& key) {
    if (key.slot >= kMaxKeyReferences) return false;
    if (key.kind == KeyKind::etsi004) return key.key_id.value().empty();
    return key.kind == KeyKind::etsi014 && !key.key_id.value().empty() && key.key_id.value().size() <= kMaxKeyIdSize;
  };
  return payload.policy.size() <= kMaxPolicySize && lanes_fit(payload.lanes) &&
         payload.keys.size() <= kMaxKeyReferences && std::ranges::all_of(payload.keys, key_fits) &&
         ascending(payload.keys);
}

void write_reference(ByteWriter& writer, const KeyReference& key) {
  const auto first = [&](ReferenceForm form) {
    writer.u8(static_cast<std::uint8_t>(unsigned{key.slot} << 4U | static_cast<unsigned>(form)));
  };
  if (key.kind == KeyKind::etsi004) {
    first(ReferenceForm::stream);
    writer.bytes(key.key_stream_id.octets).u32(key.index);
  } else if (const auto uuid = canonical_uuid(key.key_id)) {
    first(ReferenceForm::uuid);
    writer.bytes(uuid->octets);
  } else {
    first(ReferenceForm::text);
    writer.prefixed8(as_bytes(key.key_id.value()));
  }
}

Outcome<KeyReference> read_reference(ByteReader& reader) {
  const std::uint8_t first = reader.u8();
  KeyReference key;
  key.slot = first >> 4U;
  switch (static_cast<ReferenceForm>(first & 0x0fU)) {
    case ReferenceForm::text:
      key.key_id = KeyId(std::string(as_text(reader.prefixed8())));
      if (key.key_id.value().empty() || key.key_id.value().size() > kMaxKeyIdSize || canonical_uuid(key.key_id))
        return kMalformed;
      return key;
    case ReferenceForm::uuid: key.key_id = KeyId(Uuid{reader.array<16>()}.text()); return key;
    case ReferenceForm::stream:
      key.kind = KeyKind::etsi004;
      key.key_stream_id = Uuid{reader.array<16>()};
      key.index = reader.u32();
      return key;
  }
  return kMalformed;
}

}  // namespace

Outcome<Bytes> encode_initiation_payload(const InitiationPayload& payload) {
  if (!encodable(payload)) return kOutOfRange;
  Bytes out(kInitiationPayloadMaxSize);
  ByteWriter writer(out);
  writer.u64(payload.stamp.value()).u32(payload.tunnel.value()).u8(payload.lanes).prefixed8(payload.policy);
  writer.u8(static_cast<std::uint8_t>(payload.keys.size()));
  for (const KeyReference& key : payload.keys)
    write_reference(writer, key);
  QUIPU_ASSERT(writer.ok());
  out.resize(std::max(writer.size(), kInitiationPayloadSize));
  return out;
}

Outcome<InitiationPayload> decode_initiation_payload(ByteView octets) {
  ByteReader reader(octets);
  InitiationPayload out;
  out.stamp = Stamp(reader.u64());
  out.tunnel = TunnelId(reader.u32());
  out.lanes = reader.u8();
  const ByteView policy = reader.prefixed8();
  const std::uint8_t count = reader.u8();
  if (!reader.ok() || !lanes_fit(out.lanes) || policy.size() > kMaxPolicySize || count > kMaxKeyReferences)
    return kMalformed;
  out.policy.assign(policy.begin(), policy.end());
  for (std::uint8_t i = 0; i < count; ++i) {
    QUIPU_TRY_ASSIGN(KeyReference key, read_reference(reader));
    out.keys.push_back(std::move(key));
  }
  const std::size_t written = octets.size() - reader.remaining();
  if (!reader.ok() || !ascending(out.keys) || !zeros(reader.rest()) ||
      octets.size() != std::max(written, kInitiationPayloadSize))
    return kMalformed;
  return out;
}

Outcome<Bytes> encode_response_payload(const ResponsePayload& payload) {
  if (!lanes_fit(payload.lanes)) return kOutOfRange;
  Bytes out(kResponsePayloadSize);
  ByteWriter(out).u64(payload.stamp.value()).u8(payload.lanes).u32(payload.key_runway_s);
  return out;
}

Outcome<ResponsePayload> decode_response_payload(ByteView octets) {
  ByteReader reader(octets);
  ResponsePayload out;
  out.stamp = Stamp(reader.u64());
  out.lanes = reader.u8();
  out.key_runway_s = reader.u32();
  if (!reader.ok() || octets.size() != kResponsePayloadSize || !lanes_fit(out.lanes) || !zeros(reader.rest()))
    return kMalformed;
  return out;
}

Bytes encode_reject(const Reject& reject) {
  Bytes out(kRejectPayloadSize);
  ByteWriter writer(out);
  writer.u8(static_cast<std::uint8_t>(reject.reason));
  writer.u64(reject.reason == RejectReason::stamp_stale ? reject.highest_stamp.value() : 0);
  if (reject.reason == RejectReason::policy_mismatch && reject.policy.size() <= kRejectPolicyMaxSize)
    writer.prefixed8(reject.policy);
  QUIPU_ASSERT(writer.ok());
  return out;
}

Outcome<Reject> decode_reject(ByteView octets) {
  ByteReader reader(octets);
  Reject out;
  out.reason = static_cast<RejectReason>(reader.u8());
  out.highest_stamp = Stamp(reader.u64());
  const ByteView policy = reader.prefixed8();
  if (!reader.ok() || octets.size() != kRejectPayloadSize || !zeros(reader.rest())) return kMalformed;
  if (out.reason < RejectReason::key_unknown || out.reason > RejectReason::stamp_stale ||
      (out.reason != RejectReason::stamp_stale && out.highest_stamp != Stamp{}) ||
      (out.reason != RejectReason::policy_mismatch && !policy.empty()))
    return kMalformed;
  out.policy.assign(policy.begin(), policy.end());
  return out;
}

}  // namespace quipu::protocol
