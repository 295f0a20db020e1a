// SPDX-License-Identifier: Apache-2.0
// TCP and UDP packets, and what becomes of them, written as plainly as can be: what the fast ways are compared with.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "offload/packet_hints.h"

namespace quipu::test {

struct FlowPacket {
  bool v6 = false;
  bool tcp = true;
  std::uint8_t flow = 0;  // in addresses and ports
  std::uint16_t identification = 0;
  bool may_fragment = false;
  std::uint8_t traffic_class = 0;
  std::uint8_t hops = 64;        // TTL, hop limit
  std::uint32_t flow_label = 0;  // IPv6
  Bytes ip_options{};            // IPv4, in whole words
  std::uint32_t acknowledgment = 7777;
  std::uint8_t reserved = 0;  // TCP: the four bits behind the data offset
  std::uint16_t window = 501;
  std::uint32_t sequence = 0;
  std::uint8_t flags = 0x10;  // ACK
  Bytes tcp_options{};        // in whole words
  Bytes payload{};

  std::size_t ip_size() const { return v6 ? 40 : 20 + ip_options.size(); }

  std::size_t header_size() const { return ip_size() + (tcp ? 20 + tcp_options.size() : 8); }

  // With the pseudo header's sum in the checksum field, or the whole checksum.
  Bytes bytes(bool checksum_partial) const;

  // Of a run with segments of so many octets, or of one packet.
  offload::PacketHints hints(std::uint16_t segment_size) const;
};

// RFC 1071, octet by octet: not inverted.
std::uint16_t slow_sum(ByteView octets);

// The checksum field of the packet, TCP or UDP without IPv6 extension headers, set to what RFC 9293 and RFC 768 say.
Bytes with_whole_checksum(Bytes packet);

// The segments of a run, each a complete packet: what a network device with segmentation offload sends.
std::vector<Bytes> slow_segments(const FlowPacket& run, std::size_t segment_size);

}  // namespace quipu::test
