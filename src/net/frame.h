// SPDX-License-Identifier: Apache-2.0
// Cuts a stream of octets into messages: each is a u32 length (big-endian) and that many octets.
#pragma once

#include <array>

#include "base/result.h"
#include "base/secret.h"
#include "net/loop.h"

namespace quipu::net {

inline constexpr std::size_t kFrameHeaderSize = 4;

class FrameReader {
 public:
  explicit FrameReader(std::size_t max_message) : m_max_message(max_message) {}

  // Calls `on_message` for each message that these octets complete, until it returns false (the reader may be gone
  // then). Errc::too_large: a length beyond the limit; the stream is unusable from there on.
  Result<void> feed(ByteView octets, Callback<bool(ByteView message)>& on_message);

 private:
  std::size_t m_max_message;
  std::array<std::uint8_t, kFrameHeaderSize> m_header{};
  std::size_t m_header_size = 0;
  SecretBytes m_message;
  std::size_t m_filled = 0;
};

// The message with its length in front.
SecretBytes frame(ByteView message);

}  // namespace quipu::net
