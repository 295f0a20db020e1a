// SPDX-License-Identifier: Apache-2.0
// The byte stream between DriverHost and quipu-driver: frames of a fixed header and a bounded body.
//
//   u8 type, u8 0, u16 0, u32 size of the body (big-endian), body
//
// Either end kills the connection at the first octet that is not what it should be. Every body is read into locked
// memory, because it may hold a key.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace quipu::driver {

enum class FrameType : std::uint8_t {
  // to the driver's process
  open = 1,  // the first; the process answers with hello and opened, or failed
  stop,
  credit,
  peer_message,
  check = 7,  // in the place of open: the process answers with hello and checked, or failed
  // from the driver's process
  hello = 65,
  opened,
  block,
  peer_message_out,
  telemetry,
  log,
  refused,  // why the driver does not take a peer message
  failed,   // the last frame: why the process ends
  checked,
};

inline constexpr std::size_t kFrameHeaderSize = 8;
// The largest block and its description.
inline constexpr std::size_t kMaxFrameBody = 65536 + 256;

// Who sends the type; nullopt for a number that is no type.
enum class Direction : std::uint8_t { to_driver, from_driver };
std::optional<Direction> direction_of(std::uint8_t type);

// Writes the header of a body of `size` <= kMaxFrameBody octets.
std::array<std::uint8_t, kFrameHeaderSize> frame_header(FrameType type, std::size_t size);

struct Frame {
  FrameType type = FrameType::failed;
  SecretBytes body;
};

// Cuts a stream into frames without owning a socket: read at most space().size() octets into space(), then say how many
// there were.
class FrameDecoder {
 public:
  explicit FrameDecoder(Direction direction) : m_direction(direction) {}

  // Never empty.
  MutableBytes space();
  // `read` <= space().size(). A frame when this completes one; Errc::malformed or too_large when the header is wrong,
  // after which the decoder must not be used.
  Result<std::optional<Frame>> advance(std::size_t read);

 private:
  Result<void> read_header();

  Direction m_direction;
  std::array<std::uint8_t, kFrameHeaderSize> m_header{};
  std::size_t m_header_filled = 0;
  Frame m_frame;
  std::size_t m_body_filled = 0;
};

}  // namespace quipu::driver
