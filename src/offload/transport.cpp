// SPDX-License-Identifier: Apache-2.0
#include "offload/transport.h"

#include "offload/checksum.h"
#include "offload/fields.h"

namespace quipu::offload {
namespace {

constexpr std::size_t kWord = 4;  // octets; header lengths are told in words

// Start and protocol alone.
std::optional<Transport> find_in_ipv4(ByteView packet) {
  if (packet.size() < ipv4::kSize) return std::nullopt;
  const std::size_t start = std::size_t{packet[0] & 0x0fU} * kWord;
  const bool fragment = (get_u16(packet, ipv4::kFragment) & ~ipv4::kDontFragment) != 0;
  if (start < ipv4::kSize || start > packet.size() || fragment) return std::nullopt;
  if (get_u16(packet, ipv4::kTotalLength) != packet.size()) return std::nullopt;
  return Transport{IpFamily::v4, packet[ipv4::kProtocol], start, 0};
}

std::optional<Transport> find_in_ipv6(ByteView packet) {
  if (packet.size() < ipv6::kSize) return std::nullopt;
  if (get_u16(packet, ipv6::kPayloadLength) != packet.size() - ipv6::kSize) return std::nullopt;
  return Transport{IpFamily::v6, packet[ipv6::kNextHeader], ipv6::kSize, 0};
}

std::size_t transport_header_size(const Transport& transport, ByteView from_transport) {
  if (!transport.is_tcp()) return udp::kSize;
  if (from_transport.size() < tcp::kSize) return tcp::kSize;
  return std::size_t{from_transport[tcp::kDataOffset]} / 16 * kWord;
}

}  // namespace

std::optional<Transport> find_transport(ByteView packet) {
  if (packet.empty()) return std::nullopt;
  const int version = packet[0] >> 4;
  auto out = version == 4 ? find_in_ipv4(packet) : version == 6 ? find_in_ipv6(packet) : std::nullopt;
  if (!out || (out->protocol != kTcp && out->protocol != kUdp)) return std::nullopt;
  const ByteView from_transport = packet.subspan(out->start);
  const std::size_t size = transport_header_size(*out, from_transport);
  if ((out->is_tcp() && size < tcp::kSize) || size > from_transport.size()) return std::nullopt;
  if (!out->is_tcp() && get_u16(from_transport, udp::kLength) != from_transport.size()) return std::nullopt;
  out->header_size = out->start + size;
  return out;
}

void finish_headers(MutableBytes headers, const Transport& transport, std::size_t packet_size) {
  const std::size_t size = packet_size - transport.start;
  if (transport.family == IpFamily::v4) {
    put_u16(headers, ipv4::kTotalLength, packet_size);
    set_ipv4_checksum(headers.first(transport.start));
  } else {
    put_u16(headers, ipv6::kPayloadLength, size);
  }
  if (!transport.is_tcp()) put_u16(headers, transport.start + udp::kLength, size);
  put_u16(headers, transport.start + transport.checksum_field(),
          pseudo_header_sum(transport.addresses(headers), transport.protocol, size));
}

}  // namespace quipu::offload
