// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/bytes.h"

namespace quipu::offload {

// What a router says to the sender of a packet that is larger than `mtu`, in octets, the most that goes on from here:
// ICMP "fragmentation needed" (RFC 792, RFC 1191 section 4), or ICMPv6 "packet too big" (RFC 4443 section 3.2), a whole
// packet with the front of the one it is about.
//
// Nothing where nothing may be said (RFC 1122 section 3.2.2, RFC 4443 section 2.4): about ICMP errors, fragments but
// the first, and packets to or from what is not one host; about an IPv4 packet that may be fragmented, and an IPv6
// packet of 1280 octets or fewer, since no host makes smaller ones (RFC 8201 section 4); and about what is no IP packet
// larger than `mtu`. An IPv6 host is told 1280 at least.
std::optional<Bytes> answer_too_big(ByteView packet, std::size_t mtu);

}  // namespace quipu::offload
