// SPDX-License-Identifier: Apache-2.0
#include "net/frame.h"

#include <algorithm>

namespace quipu::net {

Result<void> FrameReader::feed(ByteView octets, Callback<bool(ByteView message)>& on_message) {
  while (!octets.empty()) {
    if (m_header_size < kFrameHeaderSize) {
      m_header[m_header_size++] = octets[0];
      octets = octets.subspan(1);
      if (m_header_size < kFrameHeaderSize) continue;
      const std::size_t size = ByteReader(m_header).u32();
      if (size > m_max_message)
        return fail(Errc::too_large, "a message of " + std::to_string(size) + " octets is announced, the limit is " +
                                         std::to_string(m_max_message));
      m_message = SecretBytes(size);
      m_filled = 0;
    }
    const ByteView part = octets.first(std::min(octets.size(), m_message.size() - m_filled));
    std::ranges::copy(part, m_message.mutable_view().subspan(m_filled).begin());
    m_filled += part.size();
    octets = octets.subspan(part.size());
    if (m_filled < m_message.size()) continue;
    m_header_size = 0;
    const SecretBytes message = std::move(m_message);
    if (!on_message(message.view())) return {};
  }
  return {};
}

SecretBytes frame(ByteView message) {
  SecretBytes out(kFrameHeaderSize + message.size());
  ByteWriter writer(out.mutable_view());
  writer.prefixed32(message);
  QUIPU_ASSERT(writer.ok());
  return out;
}

}  // namespace quipu::net
