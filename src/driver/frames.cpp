// SPDX-License-Identifier: Apache-2.0
#include "driver/frames.h"

namespace quipu::driver {

std::optional<Direction> direction_of(std::uint8_t type) {
  if (type >= static_cast<std::uint8_t>(FrameType::open) && type <= static_cast<std::uint8_t>(FrameType::check))
    return Direction::to_driver;
  if (type >= static_cast<std::uint8_t>(FrameType::hello) && type <= static_cast<std::uint8_t>(FrameType::checked))
    return Direction::from_driver;
  return std::nullopt;
}

std::array<std::uint8_t, kFrameHeaderSize> frame_header(FrameType type, std::size_t size) {
  QUIPU_ASSERT(size <= kMaxFrameBody);
  std::array<std::uint8_t, kFrameHeaderSize> out{};
  ByteWriter(out).u8(static_cast<std::uint8_t>(type)).zeros(3).u32(static_cast<std::uint32_t>(size));
  return out;
}

MutableBytes FrameDecoder::space() {
  if (m_header_filled < kFrameHeaderSize) return MutableBytes(m_header).subspan(m_header_filled);
  return m_frame.body.mutable_view().subspan(m_body_filled);
}

Result<std::optional<Frame>> FrameDecoder::advance(std::size_t read) {
  QUIPU_ASSERT(read <= space().size());
  if (m_header_filled < kFrameHeaderSize) {
    m_header_filled += read;
    if (m_header_filled < kFrameHeaderSize) return std::nullopt;
    QUIPU_TRY(read_header());
  } else {
    m_body_filled += read;
  }
  if (m_body_filled < m_frame.body.size()) return std::nullopt;
  m_header_filled = 0;
  m_body_filled = 0;
  return std::exchange(m_frame, {});
}

Result<void> FrameDecoder::read_header() {
  ByteReader in(m_header);
  const std::uint8_t type = in.u8();
  const ByteView reserved = in.take(3);
  const std::uint32_t size = in.u32();
  if (direction_of(type) != m_direction || reserved[0] != 0 || reserved[1] != 0 || reserved[2] != 0)
    return fail(Errc::malformed, "a frame of unknown type " + std::to_string(type));
  if (size > kMaxFrameBody) return fail(Errc::too_large, "a frame of " + std::to_string(size) + " octets");
  m_frame.type = static_cast<FrameType>(type);
  m_frame.body = SecretBytes(size);
  return {};
}

}  // namespace quipu::driver
