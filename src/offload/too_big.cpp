// SPDX-License-Identifier: Apache-2.0
#include "offload/too_big.h"

#include <algorithm>

#include "offload/checksum.h"
#include "offload/fields.h"
#include "offload/headers.h"

namespace quipu::offload {
namespace {

constexpr std::size_t kIcmpHeader = 8;
constexpr std::size_t kIcmpChecksum = 2;
constexpr std::uint8_t kHopLimit = 64;

constexpr std::uint8_t kIcmp4 = 1;
constexpr std::uint8_t kUnreachable = 3;
constexpr std::uint8_t kFragmentationNeeded = 4;
constexpr std::size_t kNextHopMtu = 6;
constexpr std::size_t kMostIcmp4 = 576;  // octets of the whole answer, RFC 1812 section 4.3.2.3

constexpr std::uint8_t kIcmp6 = 58;
constexpr std::uint8_t kPacketTooBig = 2;
constexpr std::uint8_t kFirstInformational = 128;
constexpr std::uint8_t kRedirect = 137;
constexpr std::size_t kMtu = 4;
constexpr std::size_t kLeastIpv6Mtu = 1280;  // RFC 8200 section 5; and the most octets of an answer

constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragmentHeader = 44;
constexpr std::uint8_t kDestinationOptions = 60;

bool is_one_host4(ByteView address) {
  const std::uint8_t first = address[0];
  return first != 0 && first != 127 && first < 224;  // no multicast, and no broadcast that can be told
}

bool is_one_host6(ByteView address) {
  if (address[0] == 0xff) return false;
  // Neither :: nor ::1.
  return std::ranges::any_of(address.first(15), [](std::uint8_t octet) { return octet != 0; }) || address[15] > 1;
}

bool is_icmp4_error(std::uint8_t type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;  // RFC 1122 section 3.2.2
}

bool is_icmp6_error(std::uint8_t type) {
  return type < kFirstInformational || type == kRedirect;
}

bool may_be_told4(ByteView packet) {
  if (packet.size() < ipv4::kSize) return false;
  const std::size_t header = std::size_t{packet[0] & 15U} * 4;
  if (header < ipv4::kSize || packet.size() < header + kIcmpHeader) return false;
  const std::uint16_t fragment = get_u16(packet, ipv4::kFragment);
  if ((fragment & ipv4::kDontFragment) == 0 || (fragment & 0x1fff) != 0) return false;
  const ByteView addresses = packet.subspan(ipv4::kAddresses, 8);
  if (!is_one_host4(addresses.first(4)) || !is_one_host4(addresses.subspan(4))) return false;
  return packet[ipv4::kProtocol] != kIcmp4 || !is_icmp4_error(packet[header]);
}

// Whether its headers can be followed to something that is neither an ICMPv6 error nor a fragment but the first.
bool may_be_told_of_payload6(ByteView packet) {
  std::uint8_t next = packet[ipv6::kNextHeader];
  ByteView rest = packet.subspan(ipv6::kSize);
  while (next == kHopByHop || next == kRouting || next == kFragmentHeader || next == kDestinationOptions) {
    if (rest.size() < 8) return false;
    const bool is_fragment = next == kFragmentHeader;
    if (is_fragment && (get_u16(rest, 2) & 0xfff8) != 0) return false;
    const std::size_t size = is_fragment ? 8 : (std::size_t{rest[1]} + 1) * 8;
    if (rest.size() < size) return false;
    next = rest[0];
    rest = rest.subspan(size);
  }
  return next != kIcmp6 || (!rest.empty() && !is_icmp6_error(rest[0]));
}

bool may_be_told6(ByteView packet) {
  if (packet.size() <= kLeastIpv6Mtu) return false;
  const ByteView addresses = packet.subspan(ipv6::kAddresses, 32);
  return is_one_host6(addresses.first(16)) && is_one_host6(addresses.subspan(16)) && may_be_told_of_payload6(packet);
}

// The source is whom the packet was for: the gateway need have no address of its own on this side, and hosts and
// firewalls know the tunnel as the way to that one. From source and destination there, in the other order here.
void write_addresses(ByteView from, MutableBytes to) {
  const std::size_t half = from.size() / 2;
  std::ranges::copy(from.subspan(half), to.begin());
  std::ranges::copy(from.first(half), to.begin() + static_cast<std::ptrdiff_t>(half));
}

Bytes answer4(ByteView packet, std::size_t mtu) {
  const ByteView quoted = packet.first(std::min(packet.size(), kMostIcmp4 - ipv4::kSize - kIcmpHeader));
  Bytes out(ipv4::kSize + kIcmpHeader + quoted.size());
  out[0] = 0x45;
  put_u16(out, ipv4::kTotalLength, out.size());
  put_u16(out, ipv4::kFragment, ipv4::kDontFragment);
  out[ipv4::kTimeToLive] = kHopLimit;
  out[ipv4::kProtocol] = kIcmp4;
  write_addresses(packet.subspan(ipv4::kAddresses, 8), MutableBytes(out).subspan(ipv4::kAddresses, 8));
  set_ipv4_checksum(MutableBytes(out).first(ipv4::kSize));
  const MutableBytes icmp = MutableBytes(out).subspan(ipv4::kSize);
  icmp[0] = kUnreachable;
  icmp[1] = kFragmentationNeeded;
  put_u16(icmp, kNextHopMtu, mtu);
  std::ranges::copy(quoted, icmp.begin() + kIcmpHeader);
  complete_checksum(icmp, kIcmpChecksum);
  return out;
}

Bytes answer6(ByteView packet, std::size_t mtu) {
  const ByteView quoted = packet.first(std::min(packet.size(), kLeastIpv6Mtu - ipv6::kSize - kIcmpHeader));
  Bytes out(ipv6::kSize + kIcmpHeader + quoted.size());
  out[0] = 0x60;
  put_u16(out, ipv6::kPayloadLength, kIcmpHeader + quoted.size());
  out[ipv6::kNextHeader] = kIcmp6;
  out[ipv6::kHopLimit] = kHopLimit;
  const MutableBytes addresses = MutableBytes(out).subspan(ipv6::kAddresses, 32);
  write_addresses(packet.subspan(ipv6::kAddresses, 32), addresses);
  const MutableBytes icmp = MutableBytes(out).subspan(ipv6::kSize);
  icmp[0] = kPacketTooBig;
  put_u32(icmp, kMtu, static_cast<std::uint32_t>(std::max(mtu, kLeastIpv6Mtu)));
  std::ranges::copy(quoted, icmp.begin() + kIcmpHeader);
  put_u16(icmp, kIcmpChecksum, pseudo_header_sum(addresses, kIcmp6, icmp.size()));
  complete_checksum(icmp, kIcmpChecksum);
  return out;
}

}  // namespace

std::optional<Bytes> answer_too_big(ByteView packet, std::size_t mtu) {
  if (packet.size() <= mtu) return std::nullopt;
  const int version = packet[0] >> 4;
  if (version == 4 && may_be_told4(packet)) return answer4(packet, mtu);
  if (version == 6 && may_be_told6(packet)) return answer6(packet, mtu);
  return std::nullopt;
}

}  // namespace quipu::offload
