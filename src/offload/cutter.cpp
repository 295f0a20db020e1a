// SPDX-License-Identifier: Apache-2.0
#include "offload/cutter.h"

#include <algorithm>

#include "offload/checksum.h"
#include "offload/fields.h"

namespace quipu::offload {
namespace {

using Segmentation = PacketHints::Segmentation;

bool is_of(Segmentation segmentation, const Transport& transport) {
  switch (segmentation) {
    case Segmentation::tcp4: return transport.is_tcp() && transport.family == IpFamily::v4;
    case Segmentation::tcp6: return transport.is_tcp() && transport.family == IpFamily::v6;
    case Segmentation::udp: return !transport.is_tcp();
    case Segmentation::none: break;
  }
  return false;
}

}  // namespace

Outcome<Cutter> Cutter::create(ByteView packet, const PacketHints& hints) {
  Cutter out(packet);
  QUIPU_TRY(hints.segmentation == Segmentation::none ? out.take_whole(hints) : out.take_run(hints));
  return out;
}

Outcome<void> Cutter::take_whole(const PacketHints& hints) {
  if (!hints.checksum_wanted) return {};
  const std::size_t field = std::size_t{hints.checksum_start} + hints.checksum_offset;
  if (field + 2 > m_packet.size()) return std::unexpected(Errc::malformed);
  const auto transport = find_transport(m_packet);
  m_checksum_partial =
      transport && transport->start == hints.checksum_start && transport->checksum_field() == hints.checksum_offset;
  if (m_checksum_partial) return {};
  m_complete_from = hints.checksum_start;
  m_complete_field = hints.checksum_offset;
  return {};
}

Outcome<void> Cutter::take_run(const PacketHints& hints) {
  const auto transport = find_transport(m_packet);
  if (!transport || !is_of(hints.segmentation, *transport) || hints.segment_size == 0 || !hints.checksum_wanted ||
      hints.checksum_start != transport->start || hints.checksum_offset != transport->checksum_field())
    return std::unexpected(Errc::malformed);
  m_transport = *transport;
  m_header_size = transport->header_size;
  m_segment_size = hints.segment_size;
  const std::size_t octets = m_packet.size() - m_header_size;
  m_segments = std::max<std::size_t>(1, (octets + m_segment_size - 1) / m_segment_size);
  if (m_segments > kMostSegments) return std::unexpected(Errc::malformed);
  m_checksum_partial = true;
  return {};
}

ByteView Cutter::payload(std::size_t i) const {
  const std::size_t at = m_header_size + i * m_segment_size;
  return m_packet.subspan(at, std::min(m_segment_size, m_packet.size() - at));
}

void Cutter::write(std::size_t i, MutableBytes out) const {
  const ByteView octets = payload(i);
  QUIPU_ASSERT(out.size() == m_header_size + octets.size());
  if (m_header_size > 0) std::memcpy(out.data(), m_packet.data(), m_header_size);
  if (!octets.empty()) std::memcpy(out.data() + m_header_size, octets.data(), octets.size());
  if (m_complete_from) complete_checksum(out.subspan(*m_complete_from), m_complete_field);
  if (m_header_size == 0) return;
  if (m_transport.family == IpFamily::v4) put_u16(out, ipv4::kIdentification, get_u16(out, ipv4::kIdentification) + i);
  if (m_transport.is_tcp()) write_tcp_fields(i, out.subspan(m_transport.start));
  finish_headers(out.first(m_header_size), m_transport, out.size());
}

void Cutter::write_tcp_fields(std::size_t i, MutableBytes header) const {
  const auto advance = static_cast<std::uint32_t>(i * m_segment_size);
  put_u32(header, tcp::kSequence, get_u32(header, tcp::kSequence) + advance);
  unsigned flags = header[tcp::kFlags];
  if (i + 1 < m_segments) flags &= ~unsigned{tcp::kFin | tcp::kPush};
  if (i > 0) flags &= ~unsigned{tcp::kCongestionWindowReduced};
  header[tcp::kFlags] = static_cast<std::uint8_t>(flags);
}

}  // namespace quipu::offload
