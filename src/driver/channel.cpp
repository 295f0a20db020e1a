// SPDX-License-Identifier: Apache-2.0
#include "driver/channel.h"

#include <sys/socket.h>

namespace quipu::driver {
namespace {

// Four of the largest frames: a driver that is further behind than this is not reading.
constexpr std::size_t kMaxQueued = 4 * (kFrameHeaderSize + kMaxFrameBody);
// The last of them is not for what the driver at the other end has to say, or its talk would leave no room for credit.
constexpr std::size_t kMaxPeerQueued = kMaxQueued - (kFrameHeaderSize + kMaxFrameBody);

}  // namespace

Result<void> Channel::send(FrameType type, ByteView body) {
  const std::size_t most = type == FrameType::peer_message ? kMaxPeerQueued : kMaxQueued;
  if (m_queued + kFrameHeaderSize + body.size() > most) return fail(Errc::busy, "the driver's process does not read");
  SecretBytes frame(kFrameHeaderSize + body.size());
  ByteWriter(frame.mutable_view()).bytes(frame_header(type, body.size())).bytes(body);
  m_queued += frame.size();
  m_queue.push_back(std::move(frame));
  return flush();
}

Result<void> Channel::flush() {
  while (!m_queue.empty()) {
    const ByteView rest = m_queue.front().view().subspan(m_sent);
    const ssize_t sent = ::send(m_socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return {};
    if (sent < 0) return fail(Errc::closed, "the driver's process closed its socket");
    m_sent += static_cast<std::size_t>(sent);
    if (m_sent < m_queue.front().size()) continue;
    m_queued -= m_sent;
    m_sent = 0;
    m_queue.pop_front();
  }
  return {};
}

Result<std::optional<Frame>> Channel::receive() {
  for (;;) {
    const MutableBytes space = m_decoder.space();
    const ssize_t size = ::recv(m_socket, space.data(), space.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return std::nullopt;
    if (size <= 0) return fail(Errc::closed, "the driver's process closed its socket");
    QUIPU_TRY_ASSIGN(std::optional<Frame> frame, m_decoder.advance(static_cast<std::size_t>(size)));
    if (frame) return frame;
  }
}

}  // namespace quipu::driver
