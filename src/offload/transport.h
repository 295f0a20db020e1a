// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/ip.h"
#include "offload/headers.h"

namespace quipu::offload {

// Where the headers of an IP packet with TCP or UDP in it lie.
struct Transport {
  IpFamily family = IpFamily::v4;
  std::uint8_t protocol = kTcp;  // or kUdp
  std::size_t start = 0;         // octets of the IP header: where TCP or UDP begins
  std::size_t header_size = 0;   // octets of all headers: where the payload begins

  bool is_tcp() const { return protocol == kTcp; }

  // From `start`.
  std::size_t checksum_field() const { return is_tcp() ? tcp::kChecksum : udp::kChecksum; }

  // Source and destination as they stand in the header.
  ByteView addresses(ByteView packet) const {
    return family == IpFamily::v4 ? packet.subspan(ipv4::kAddresses, 8) : packet.subspan(ipv6::kAddresses, 32);
  }

  bool operator==(const Transport&) const = default;
};

// Nothing for any other packet, for a fragment, for one with IPv6 extension headers, and for one whose headers tell
// another length than it has.
std::optional<Transport> find_transport(ByteView packet);

// Makes the lengths in the headers those of a packet of so many octets, and its transport checksum the sum of the
// pseudo header, for somebody else to complete. `headers` begin the packet.
void finish_headers(MutableBytes headers, const Transport& transport, std::size_t packet_size);

}  // namespace quipu::offload
