// SPDX-License-Identifier: Apache-2.0
#include "offload/coalescer.h"

#include <algorithm>

#include "offload/checksum.h"
#include "offload/fields.h"

namespace quipu::offload {
namespace {

using Segmentation = PacketHints::Segmentation;

bool same(ByteView a, ByteView b, std::size_t at, std::size_t size) {
  return std::memcmp(a.data() + at, b.data() + at, size) == 0;
}

constexpr std::size_t kPorts = 4;  // octets of both

// Addresses and ports, whatever IP options lie between them.
bool same_flow(const Transport& a, ByteView first, const Transport& b, ByteView second) {
  return a.family == b.family && a.protocol == b.protocol &&
         same(first.subspan(a.start), second.subspan(b.start), 0, kPorts) &&
         std::ranges::equal(a.addresses(first), b.addresses(second));
}

// What every segment of a run has alike. `number`: how many there were before this one.
bool same_ip_fields(const Transport& transport, ByteView first, ByteView next, std::size_t number) {
  if (transport.family == IpFamily::v6)
    return same(first, next, 0, 4) && first[ipv6::kHopLimit] == next[ipv6::kHopLimit];
  const auto expected = static_cast<std::uint16_t>(get_u16(first, ipv4::kIdentification) + number);
  const bool right_number =
      (get_u16(first, ipv4::kFragment) & ipv4::kDontFragment) != 0 || get_u16(next, ipv4::kIdentification) == expected;
  return right_number && same(first, next, 0, 2) && same(first, next, ipv4::kFragment, 2) &&
         first[ipv4::kTimeToLive] == next[ipv4::kTimeToLive] &&
         same(first, next, ipv4::kSize, transport.start - ipv4::kSize);
}

// Flags with which data may stand in a run. PSH ends one.
bool is_plain(std::uint8_t flags) {
  return (flags & ~unsigned{tcp::kPush | tcp::kEcnEcho}) == tcp::kAck;
}

// `carried`: octets of payload before this one.
bool same_tcp_fields(const Transport& transport, ByteView first, ByteView next, std::size_t carried) {
  const ByteView a = first.subspan(transport.start);
  const ByteView b = next.subspan(transport.start);
  const auto expected = static_cast<std::uint32_t>(get_u32(a, tcp::kSequence) + carried);
  return get_u32(b, tcp::kSequence) == expected && same(a, b, tcp::kAcknowledgment, 4) &&
         same(a, b, tcp::kDataOffset, 1) && same(a, b, tcp::kWindow, 2) &&
         (a[tcp::kFlags] | tcp::kPush) == (b[tcp::kFlags] | tcp::kPush) &&
         same(a, b, tcp::kSize, transport.header_size - transport.start - tcp::kSize);
}

Segmentation segmentation_of(const Transport& transport) {
  if (!transport.is_tcp()) return Segmentation::udp;
  return transport.family == IpFamily::v4 ? Segmentation::tcp4 : Segmentation::tcp6;
}

}  // namespace

void Coalescer::clear() {
  m_used = 0;
  m_open_count = 0;
}

bool Coalescer::add(MutableBytes packet, bool checksum_partial) {
  const auto transport = find_transport(packet);
  if (!transport) {
    if (checksum_partial) return false;
    close_all();
    begin(packet, false);
    return true;
  }
  Run* const run = find_open(*transport, packet);
  if (run != nullptr && checksum_partial && may_follow(*run, *transport, packet)) {
    append(*run, packet);
    return true;
  }
  if (run != nullptr) run->open = false;
  Run& fresh = begin(packet, checksum_partial);
  fresh.transport = *transport;
  fresh.segment_size = packet.size() - transport->header_size;
  fresh.open = checksum_partial && may_begin(*transport, packet);
  if (fresh.open) remember(m_used - 1);
  return true;
}

Coalescer::Run& Coalescer::begin(MutableBytes packet, bool checksum_partial) {
  if (m_used == m_runs.size()) m_runs.emplace_back().parts.reserve(kMaxSegments);
  Run& run = m_runs[m_used++];
  run.first = packet;
  run.checksum_partial = checksum_partial;
  run.open = false;
  run.size = packet.size();
  run.parts.assign(1, packet);
  return run;
}

void Coalescer::close_all() {
  for (std::size_t i = 0; i < m_open_count; ++i)
    m_runs[m_open[i]].open = false;
  m_open_count = 0;
}

// A flow has one open run at most: the latest that it has.
Coalescer::Run* Coalescer::find_open(const Transport& transport, ByteView packet) {
  for (std::size_t i = m_open_count; i-- > 0;) {
    Run& run = m_runs[m_open[i]];
    if (run.open && same_flow(run.transport, run.first, transport, packet)) return &run;
  }
  return nullptr;
}

void Coalescer::remember(std::size_t run) {
  const auto open = std::span(m_open).first(m_open_count);
  const auto closed = std::ranges::find_if(open, [this](std::size_t i) { return !m_runs[i].open; });
  if (m_open_count < kOpenRuns && closed == open.end()) {
    m_open[m_open_count++] = run;
    return;
  }
  // In place of one that is closed, or of the oldest.
  const auto out = closed == open.end() ? open.begin() : closed;
  m_runs[*out].open = false;
  std::rotate(out, out + 1, open.end());
  open.back() = run;
}

bool Coalescer::may_begin(const Transport& transport, ByteView packet) const {
  if (packet.size() == transport.header_size) return false;
  if (!transport.is_tcp()) return m_offloads.udp;
  const bool offloaded = transport.family == IpFamily::v4 ? m_offloads.tcp4 : m_offloads.tcp6;
  const std::uint8_t flags = packet[transport.start + tcp::kFlags];
  return offloaded && is_plain(flags) && (flags & tcp::kPush) == 0;
}

bool Coalescer::may_follow(const Run& run, const Transport& transport, ByteView packet) {
  const std::size_t octets = packet.size() - transport.header_size;
  const std::size_t carried = run.size - transport.header_size;
  return transport == run.transport && octets > 0 && octets <= run.segment_size && run.parts.size() < kMaxSegments &&
         run.size + octets <= kMaxPacket && same_ip_fields(transport, run.first, packet, run.parts.size()) &&
         (!transport.is_tcp() || same_tcp_fields(transport, run.first, packet, carried));
}

void Coalescer::append(Run& run, MutableBytes packet) {
  const ByteView payload = packet.subspan(run.transport.header_size);
  run.parts.push_back(payload);
  run.size += payload.size();
  bool pushed = false;
  if (run.transport.is_tcp()) {
    const std::size_t flags = run.transport.start + tcp::kFlags;
    pushed = (packet[flags] & tcp::kPush) != 0;
    run.first[flags] |= packet[flags];
  }
  run.open = payload.size() == run.segment_size && !pushed;
}

std::span<const GatheredPacket> Coalescer::gather() {
  m_gathered.clear();
  for (Run& run : std::span(m_runs).first(m_used))
    m_gathered.push_back(finish(run));
  return m_gathered;
}

GatheredPacket Coalescer::finish(Run& run) const {
  GatheredPacket out{.parts = run.parts, .hints = {}};
  if (!run.checksum_partial) return out;
  const Transport& transport = run.transport;
  if (run.parts.size() > 1) finish_headers(run.first.first(transport.header_size), transport, run.size);
  if (!m_offloads.checksum) {
    complete_checksum(run.first.subspan(transport.start), transport.checksum_field());
    return out;
  }
  out.hints = {.segmentation = run.parts.size() > 1 ? segmentation_of(transport) : Segmentation::none,
               .checksum_wanted = true,
               .checksum_start = static_cast<std::uint16_t>(transport.start),
               .checksum_offset = static_cast<std::uint16_t>(transport.checksum_field()),
               .header_size = static_cast<std::uint16_t>(transport.header_size),
               .segment_size = static_cast<std::uint16_t>(run.parts.size() > 1 ? run.segment_size : 0)};
  return out;
}

}  // namespace quipu::offload
