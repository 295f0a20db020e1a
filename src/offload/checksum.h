// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071).
#pragma once

#include "base/bytes.h"

namespace quipu::offload {

// Sum of the 16-bit words in one's complement, folded to 16 bits, not inverted. An odd last octet counts as a word's
// first.
std::uint16_t add_words(ByteView octets);

// What stands in the checksum field of a TCP or UDP packet that is left for the device to complete: the sum of the
// pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1), not inverted. `addresses`: source and destination as they
// stand in the IP header; `size`: octets of transport header and payload.
std::uint16_t pseudo_header_sum(ByteView addresses, std::uint8_t protocol, std::size_t size);

// Replaces the header checksum by the right one. `header`: an IPv4 header with its options.
void set_ipv4_checksum(MutableBytes header);

// Completes a checksum whose field, at `field` octets from the front, holds the pseudo header's sum.
void complete_checksum(MutableBytes transport, std::size_t field);

}  // namespace quipu::offload
