// SPDX-License-Identifier: Apache-2.0
#include "support/slow_segments.h"

#include <algorithm>

namespace quipu::test {
namespace {

constexpr std::uint8_t kFinAndPush = 0x09;
constexpr std::uint8_t kWindowReduced = 0x80;

void add(Bytes& to, std::size_t value, int octets) {
  while (octets-- > 0)
    to.push_back(static_cast<std::uint8_t>(value >> (8 * octets)));
}

void set_u16(Bytes& in, std::size_t at, std::size_t value) {
  in[at] = static_cast<std::uint8_t>(value >> 8);
  in[at + 1] = static_cast<std::uint8_t>(value);
}

bool is_v6(const Bytes& packet) {
  return packet[0] >> 4 == 6;
}

std::size_t transport_at(const Bytes& packet) {
  return is_v6(packet) ? 40 : std::size_t{packet[0] & 15U} * 4;
}

std::uint8_t protocol_of(const Bytes& packet) {
  return packet[is_v6(packet) ? 6 : 9];
}

std::size_t checksum_at(const Bytes& packet) {
  return transport_at(packet) + (protocol_of(packet) == 6 ? 16 : 6);
}

Bytes pseudo_header(const Bytes& packet) {
  const std::size_t addresses = is_v6(packet) ? 8 : 12;
  Bytes out(packet.begin() + static_cast<std::ptrdiff_t>(addresses), packet.begin() + (is_v6(packet) ? 40 : 20));
  add(out, packet.size() - transport_at(packet), 4);
  add(out, protocol_of(packet), 4);
  return out;
}

Bytes with_ip_checksum(Bytes packet) {
  if (is_v6(packet)) return packet;
  set_u16(packet, 10, 0);
  set_u16(packet, 10, static_cast<std::uint16_t>(~slow_sum(ByteView(packet).first(transport_at(packet)))));
  return packet;
}

}  // namespace

std::uint16_t slow_sum(ByteView octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    sum += i % 2 == 0 ? octets[i] * 256U : octets[i];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

Bytes with_whole_checksum(Bytes packet) {
  set_u16(packet, checksum_at(packet), 0);
  Bytes all = pseudo_header(packet);
  all.insert(all.end(), packet.begin() + static_cast<std::ptrdiff_t>(transport_at(packet)), packet.end());
  const auto checksum = static_cast<std::uint16_t>(~slow_sum(all));
  set_u16(packet, checksum_at(packet), checksum == 0 ? 0xffff : checksum);
  return packet;
}

Bytes FlowPacket::bytes(bool checksum_partial) const {
  const std::size_t transport_size = header_size() - ip_size() + payload.size();
  Bytes out;
  if (v6) {
    add(out, 0x6000'0000U | std::size_t{traffic_class} << 20 | flow_label, 4);
    add(out, transport_size, 2);
    add(out, (tcp ? 6U : 17U) << 8 | hops, 2);
    for (const std::size_t end : {1U, 2U}) {
      add(out, 0xfd70'0000'0000'0000, 8);
      add(out, std::size_t{flow} << 8 | end, 8);
    }
  } else {
    add(out, (0x40U | ip_size() / 4) << 8 | traffic_class, 2);
    add(out, ip_size() + transport_size, 2);
    add(out, identification, 2);
    add(out, may_fragment ? 0 : 0x4000, 2);
    add(out, std::size_t{hops} << 8 | (tcp ? 6U : 17U), 2);
    add(out, 0, 2);
    for (const std::size_t end : {1U, 2U})
      add(out, 10U << 24 | std::size_t{flow} << 8 | end, 4);
    out.insert(out.end(), ip_options.begin(), ip_options.end());
  }
  add(out, 40'000U + flow, 2);
  add(out, 5201, 2);
  if (tcp) {
    add(out, sequence, 4);
    add(out, acknowledgment, 4);
    add(out, (5 + tcp_options.size() / 4) << 12 | std::size_t{reserved} << 8 | flags, 2);
    add(out, window, 2);
    add(out, 0, 4);
    out.insert(out.end(), tcp_options.begin(), tcp_options.end());
  } else {
    add(out, transport_size, 2);
    add(out, 0, 2);
  }
  out.insert(out.end(), payload.begin(), payload.end());
  out = with_ip_checksum(std::move(out));
  if (!checksum_partial) return with_whole_checksum(std::move(out));
  set_u16(out, checksum_at(out), slow_sum(pseudo_header(out)));
  return out;
}

offload::PacketHints FlowPacket::hints(std::uint16_t segment_size) const {
  using Segmentation = offload::PacketHints::Segmentation;
  offload::PacketHints out{.checksum_wanted = true,
                           .checksum_start = static_cast<std::uint16_t>(ip_size()),
                           .checksum_offset = static_cast<std::uint16_t>(tcp ? 16 : 6),
                           .header_size = static_cast<std::uint16_t>(header_size()),
                           .segment_size = segment_size};
  if (segment_size > 0) out.segmentation = !tcp ? Segmentation::udp : v6 ? Segmentation::tcp6 : Segmentation::tcp4;
  return out;
}

std::vector<Bytes> slow_segments(const FlowPacket& run, std::size_t segment_size) {
  std::vector<Bytes> out;
  for (std::size_t at = 0; at < run.payload.size(); at += segment_size) {
    const std::size_t end = std::min(at + segment_size, run.payload.size());
    FlowPacket segment = run;
    segment.payload.assign(run.payload.begin() + static_cast<std::ptrdiff_t>(at),
                           run.payload.begin() + static_cast<std::ptrdiff_t>(end));
    segment.identification = static_cast<std::uint16_t>(run.identification + out.size());
    segment.sequence = static_cast<std::uint32_t>(run.sequence + at);
    if (end < run.payload.size()) segment.flags = static_cast<std::uint8_t>(segment.flags & ~kFinAndPush);
    if (at > 0) segment.flags = static_cast<std::uint8_t>(segment.flags & ~kWindowReduced);
    out.push_back(segment.bytes(false));
  }
  return out;
}

}  // namespace quipu::test
