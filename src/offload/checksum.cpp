// SPDX-License-Identifier: Apache-2.0
#include "offload/checksum.h"

#include <bit>

#include "offload/fields.h"
#include "offload/headers.h"

namespace quipu::offload {
namespace {

std::uint16_t fold(std::uint64_t sum) {
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// RFC 1071 section 2(B): the sum of words in this machine's order is the sum in the network's, swapped.
std::uint16_t swapped(std::uint16_t sum) {
  if constexpr (std::endian::native == std::endian::little) return static_cast<std::uint16_t>(sum << 8 | sum >> 8);
  return sum;
}

}  // namespace

std::uint16_t add_words(ByteView octets) {
  std::uint64_t sum = 0;
  while (octets.size() >= 4) {
    std::uint32_t words = 0;
    std::memcpy(&words, octets.data(), sizeof words);
    sum += words;
    octets = octets.subspan(4);
  }
  std::array<std::uint8_t, 4> rest{};
  if (!octets.empty()) std::memcpy(rest.data(), octets.data(), octets.size());
  std::uint32_t words = 0;
  std::memcpy(&words, rest.data(), sizeof words);
  return swapped(fold(sum + words));
}

std::uint16_t pseudo_header_sum(ByteView addresses, std::uint8_t protocol, std::size_t size) {
  return fold(std::uint64_t{add_words(addresses)} + protocol + size);
}

void set_ipv4_checksum(MutableBytes header) {
  put_u16(header, ipv4::kChecksum, 0);
  put_u16(header, ipv4::kChecksum, static_cast<std::uint16_t>(~add_words(header)));
}

void complete_checksum(MutableBytes transport, std::size_t field) {
  const auto checksum = static_cast<std::uint16_t>(~add_words(transport));
  // RFC 768: zero says that there is none. In TCP both mean the same.
  put_u16(transport, field, checksum == 0 ? 0xffff : checksum);
}

}  // namespace quipu::offload
