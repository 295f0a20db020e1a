// SPDX-License-Identifier: Apache-2.0
#include "tun/fake_tun.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace quipu::tun {

// A semaphore counts the packets that wait, so the descriptor is readable for exactly as long as there are any.
FakeTun::FakeTun(std::string name, const Offloads& offloads)
    : m_name(std::move(name)), m_offloads(offloads), m_event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE)) {
  QUIPU_ASSERT(m_event);
}

void FakeTun::inject(ByteView packet, const PacketHints& hints) {
  m_waiting.push_back({Bytes(packet.begin(), packet.end()), hints});
  QUIPU_ASSERT(::eventfd_write(m_event.get(), 1) == 0);
}

std::vector<FakeTun::Written> FakeTun::take_written() {
  return std::exchange(m_written, {});
}

void FakeTun::remove() {
  m_removed = true;
  QUIPU_ASSERT(::eventfd_write(m_event.get(), 1) == 0);
}

Result<std::size_t> FakeTun::read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) {
  QUIPU_ASSERT(packets.size() >= buffers.size());
  if (m_removed) return fail(Errc::closed, m_name + ": the interface was deleted");
  std::size_t count = 0;
  while (count < buffers.size() && !m_waiting.empty()) {
    const Waiting packet = std::move(m_waiting.front());
    m_waiting.pop_front();
    eventfd_t taken = 0;
    QUIPU_ASSERT(::eventfd_read(m_event.get(), &taken) == 0);
    if (packet.bytes.size() >= buffers[count].size()) {
      ++m_counters.read_cut;
      continue;
    }
    std::copy(packet.bytes.begin(), packet.bytes.end(), buffers[count].begin());
    packets[count++] = {packet.bytes.size(), packet.hints};
  }
  return count;
}

bool FakeTun::understands(const PacketHints& hints) const {
  using enum PacketHints::Segmentation;
  if (!hints.checksum_wanted) return hints == PacketHints();
  const bool run = (hints.segmentation == tcp4 && m_offloads.tcp4) || (hints.segmentation == tcp6 && m_offloads.tcp6) ||
                   (hints.segmentation == udp && m_offloads.udp);
  return m_offloads.checksum && (hints.segmentation == none || run);
}

Result<std::size_t> FakeTun::write(std::span<const GatheredPacket> packets) {
  if (m_removed) return fail(Errc::closed, m_name + ": the interface was deleted");
  std::size_t taken = 0;
  for (const GatheredPacket& packet : packets) {
    if (m_refusals > 0 || !understands(packet.hints)) {
      m_refusals -= m_refusals > 0 ? 1 : 0;
      m_counters.write_refused += packet.parts.size();
      continue;
    }
    Written& written = m_written.emplace_back(Bytes{}, packet.hints);
    for (const ByteView part : packet.parts)
      written.bytes.insert(written.bytes.end(), part.begin(), part.end());
    ++taken;
  }
  return taken;
}

}  // namespace quipu::tun
