// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>

#include "driver/frames.h"

namespace quipu::driver {

// Frames over a non-blocking stream socket that somebody else owns. What the other end does not take at once waits in a
// bounded queue.
class Channel {
 public:
  Channel(int socket, Direction incoming) : m_socket(socket), m_decoder(incoming) {}

  // Errc::busy when the queue is full, for peer messages a frame before that; closed when the other end has gone.
  Result<void> send(FrameType type, ByteView body);
  Result<void> flush();

  bool waiting_to_send() const { return !m_queue.empty(); }

  // Empty when there is no whole frame yet. Errc::closed at the end of the stream, malformed or too_large as
  // FrameDecoder.
  Result<std::optional<Frame>> receive();

 private:
  int m_socket;
  FrameDecoder m_decoder;
  std::deque<SecretBytes> m_queue;
  std::size_t m_queued = 0;  // octets
  std::size_t m_sent = 0;    // of the first in the queue
};

}  // namespace quipu::driver
