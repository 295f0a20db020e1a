// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/ip.h"

namespace quipu::protocol {

// The addresses of an inner IP packet; nothing when it is not one, or has another length than its header says.
struct InnerAddresses {
  IpAddress source;
  IpAddress destination;
};

inline std::optional<InnerAddresses> inner_addresses(ByteView packet) {
  constexpr std::size_t kIpv4Header = 20;
  constexpr std::size_t kIpv6Header = 40;
  if (packet.empty()) return std::nullopt;
  const int version = packet[0] >> 4;
  const auto told = [packet](std::size_t at) { return std::size_t{packet[at]} << 8 | packet[at + 1]; };
  const std::size_t ipv4_header = std::size_t{packet[0] & 15U} * 4;
  if (version == 4 && ipv4_header >= kIpv4Header && packet.size() >= ipv4_header && told(2) == packet.size())
    return InnerAddresses{IpAddress::from_octets(packet.subspan(12, 4)), IpAddress::from_octets(packet.subspan(16, 4))};
  if (version == 6 && packet.size() >= kIpv6Header && told(4) == packet.size() - kIpv6Header)
    return InnerAddresses{IpAddress::from_octets(packet.subspan(8, 16)),
                          IpAddress::from_octets(packet.subspan(24, 16))};
  return std::nullopt;
}

// Whether its datagram may be fragmented where it is too large for the path: of an IPv4 packet without DF (RFC 791),
// which may arrive in pieces anyway, and of an IPv6 packet of 1280 octets or fewer, which every link below IPv6 has to
// carry, in fragments of its own if need be (RFC 8200 section 5). `packet` is one that inner_addresses() knows.
inline bool may_be_fragmented(ByteView packet) {
  constexpr std::size_t kLeastIpv6Mtu = 1280;
  constexpr std::size_t kIpv4Flags = 6;
  constexpr std::uint8_t kDontFragment = 0x40;
  if (packet[0] >> 4 == 6) return packet.size() <= kLeastIpv6Mtu;
  return (packet[kIpv4Flags] & kDontFragment) == 0;
}

// ff02::/16 and 224.0.0.0/24: what a host says to its own link (neighbour discovery, multicast listeners). It never
// leaves that link, so none of it was ever meant for a tunnel.
inline bool is_link_local_multicast(const IpAddress& address) {
  const auto& octets = address.octets;
  if (address.family == IpFamily::v6) return octets[0] == 0xff && (octets[1] & 0x0f) == 2;
  return octets[0] == 224 && octets[1] == 0 && octets[2] == 0;
}

}  // namespace quipu::protocol
