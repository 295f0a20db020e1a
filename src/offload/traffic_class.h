// SPDX-License-Identifier: Apache-2.0
// The traffic class octet of IP headers (RFC 2474: DSCP, upper six bits; RFC 3168: ECN, lower two) of a packet inside a
// tunnel and of the datagram around it.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace quipu::offload {

// The traffic class of the datagram around this packet: its ECN field always (RFC 6040 section 4.1, normal mode), its
// DSCP if `copy_dscp`, since that tells whoever sees the datagram about what is inside. 0 of what is no IP packet.
std::uint8_t outer_traffic_class(ByteView packet, bool copy_dscp);

// RFC 6040 section 4.2: gives the packet the ECN field that it has to have, of its own and of that of the datagram
// which it came in, and mends an IPv4 header's checksum. False: it has to be dropped, since a router marked congestion
// and the packet has no way to say so.
bool take_congestion(MutableBytes packet, std::uint8_t outer_traffic_class);

}  // namespace quipu::offload
