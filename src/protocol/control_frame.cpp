// SPDX-License-Identifier: Apache-2.0
#include "protocol/control_frame.h"

#include <algorithm>

namespace quipu::protocol {
namespace {

enum class ControlType : std::uint8_t {
  next_keys = 1,
  rekey_wish = 2,
  key_runway = 3,
  keys_lack = 4,
  mtu_probe = 5,
  mtu_answer = 6
};

void write(ByteWriter& writer, const NextKeys& frame) {
  writer.u8(static_cast<std::uint8_t>(ControlType::next_keys)).u8(static_cast<std::uint8_t>(frame.keys.size()));
  for (const KeyReference& key : frame.keys)
    writer.u8(key.slot).u8(static_cast<std::uint8_t>(key.kind)).prefixed8(as_bytes(key.key_id.value()));
}

void write(ByteWriter& writer, const RekeyWish&) {
  writer.u8(static_cast<std::uint8_t>(ControlType::rekey_wish));
}

void write(ByteWriter& writer, const KeyRunway& frame) {
  writer.u8(static_cast<std::uint8_t>(ControlType::key_runway)).u32(frame.seconds);
}

void write(ByteWriter& writer, const KeysLack&) {
  writer.u8(static_cast<std::uint8_t>(ControlType::keys_lack));
}

void write(ByteWriter& writer, const MtuProbe& frame) {
  writer.u8(static_cast<std::uint8_t>(ControlType::mtu_probe)).u32(frame.id).zeros(frame.size - MtuProbe::kLeast);
}

void write(ByteWriter& writer, const MtuAnswer& frame) {
  writer.u8(static_cast<std::uint8_t>(ControlType::mtu_answer)).u32(frame.id);
}

std::size_t most_octets(const ControlFrame& frame) {
  const auto* probe = std::get_if<MtuProbe>(&frame);
  return probe == nullptr ? kMaxControlFrameSize : probe->size;
}

Outcome<ControlFrame> parse_next_keys(ByteReader& reader) {
  NextKeys out;
  const std::size_t count = reader.u8();
  if (count == 0 || count > kMaxSources) return std::unexpected(Errc::malformed);
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    KeyReference key;
    key.slot = reader.u8();
    if (reader.u8() != static_cast<std::uint8_t>(KeyKind::etsi014)) return std::unexpected(Errc::malformed);
    const ByteView id = reader.prefixed8();
    if (id.empty() || id.size() > kMaxKeyIdSize) return std::unexpected(Errc::malformed);
    if (!out.keys.empty() && key.slot <= out.keys.back().slot) return std::unexpected(Errc::malformed);
    key.key_id = KeyId(std::string(as_text(id)));
    out.keys.push_back(std::move(key));
  }
  if (!reader.finished()) return std::unexpected(Errc::malformed);
  return out;
}

}  // namespace

Bytes write_control_frame(const ControlFrame& frame) {
  Bytes out(most_octets(frame));
  ByteWriter writer(out);
  std::visit([&](const auto& f) { write(writer, f); }, frame);
  QUIPU_ASSERT(writer.ok());
  out.resize(writer.size());
  return out;
}

Outcome<ControlFrame> parse_control_frame(ByteView payload) {
  ByteReader reader(payload);
  const auto type = static_cast<ControlType>(reader.u8());
  if (!reader.ok()) return std::unexpected(Errc::malformed);
  switch (type) {
    case ControlType::next_keys: return parse_next_keys(reader);
    case ControlType::rekey_wish:
      if (!reader.finished()) return std::unexpected(Errc::malformed);
      return RekeyWish{};
    case ControlType::key_runway: {
      const KeyRunway frame{reader.u32()};
      if (!reader.finished()) return std::unexpected(Errc::malformed);
      return frame;
    }
    case ControlType::keys_lack:
      if (!reader.finished()) return std::unexpected(Errc::malformed);
      return KeysLack{};
    case ControlType::mtu_probe: {
      const MtuProbe frame{reader.u32(), payload.size()};
      if (!reader.ok()) return std::unexpected(Errc::malformed);
      return frame;
    }
    case ControlType::mtu_answer: {
      const MtuAnswer frame{reader.u32()};
      if (!reader.finished()) return std::unexpected(Errc::malformed);
      return frame;
    }
  }
  return std::unexpected(Errc::unsupported);
}

void ControlInbox::put(ControlFrame frame, SessionIndex under) {
  if (auto* keys = std::get_if<NextKeys>(&frame))
    next_keys = std::move(*keys);
  else if (const auto* seconds = std::get_if<KeyRunway>(&frame))
    runway = *seconds;
  else if (std::holds_alternative<KeysLack>(frame))
    lack = under;
  else if (const auto* probe = std::get_if<MtuProbe>(&frame))
    mtu_probe = std::ranges::max(mtu_probe.value_or(*probe), *probe, {}, &MtuProbe::size);
  else if (std::holds_alternative<RekeyWish>(frame))
    wish = RekeyWish{};
}

}  // namespace quipu::protocol
