// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/bytes.h"

namespace quipu::offload {

// Lowers the maximum segment size that a TCP SYN tells (RFC 9293 section 3.7.1) to what fits a packet of `mtu` octets,
// so that hosts behind the tunnel do with packets that it carries, wherever ICMP is filtered. One that is lower stays
// as it is, and so does any other packet. Where none is told, the other end takes 536 octets over IPv4 and 1220 over
// IPv6 (the same section): packets of 576, which every path carries, and 1280, which may go in fragments. A checksum
// that is left to be completed does not cover it.
void clamp_mss(MutableBytes packet, bool checksum_partial, std::size_t mtu);

}  // namespace quipu::offload
