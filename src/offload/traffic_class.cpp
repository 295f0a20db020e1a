// SPDX-License-Identifier: Apache-2.0
#include "offload/traffic_class.h"

#include "offload/checksum.h"
#include "offload/headers.h"

namespace quipu::offload {
namespace {

constexpr std::uint8_t kEcn = 3;
constexpr std::uint8_t kNotCapable = 0;
constexpr std::uint8_t kCapable0 = 2;
constexpr std::uint8_t kCapable1 = 1;
constexpr std::uint8_t kCongestion = 3;

bool is_ipv4(ByteView packet) {
  return packet.size() >= ipv4::kSize && packet[0] >> 4 == 4;
}

bool is_ipv6(ByteView packet) {
  return packet.size() >= ipv6::kSize && packet[0] >> 4 == 6;
}

std::uint8_t traffic_class(ByteView packet) {
  if (is_ipv4(packet)) return packet[ipv4::kTrafficClass];
  if (is_ipv6(packet)) return static_cast<std::uint8_t>((packet[0] & 15) << 4 | packet[1] >> 4);
  return 0;
}

void set_ecn(MutableBytes packet, unsigned ecn) {
  if (is_ipv4(packet)) {
    const std::size_t header = std::size_t{packet[0] & 15U} * 4;
    if (header < ipv4::kSize || header > packet.size()) return;
    packet[ipv4::kTrafficClass] = static_cast<std::uint8_t>((packet[ipv4::kTrafficClass] & ~unsigned{kEcn}) | ecn);
    set_ipv4_checksum(packet.first(header));
  } else if (is_ipv6(packet)) {
    packet[1] = static_cast<std::uint8_t>((packet[1] & ~(unsigned{kEcn} << 4)) | ecn << 4);
  }
}

}  // namespace

std::uint8_t outer_traffic_class(ByteView packet, bool copy_dscp) {
  const std::uint8_t inner = traffic_class(packet);
  return copy_dscp ? inner : inner & kEcn;
}

// Figure 4 there, by what differs from the inner field.
bool take_congestion(MutableBytes packet, std::uint8_t outer_traffic_class) {
  const std::uint8_t outer = outer_traffic_class & kEcn;
  if (outer == kNotCapable || outer == kCapable0) return true;
  const std::uint8_t inner = traffic_class(packet) & kEcn;
  if (outer == kCongestion && inner == kNotCapable) return false;
  if (outer == kCongestion && inner != kCongestion) set_ecn(packet, kCongestion);
  if (outer == kCapable1 && inner == kCapable0) set_ecn(packet, kCapable1);
  return true;
}

}  // namespace quipu::offload
