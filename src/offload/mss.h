// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/bytes.h"

namespace quipu::offload {

// Lowers the maximum segment size that a TCP SYN tells (RFC 9293 section 3.7.1) to what fits a packet of `mtu` octets,
// so that hosts behind the tunnel do with packets that it carries, wherever ICMP is filtered. One that is lower, or
// absent, stays as it is, and so does any other packet. A checksum that is left to be completed does not cover it.
void clamp_mss(MutableBytes packet, bool checksum_partial, std::size_t mtu);

}  // namespace quipu::offload
