// SPDX-License-Identifier: Apache-2.0
#include "offload/mss.h"

#include "offload/checksum.h"
#include "offload/fields.h"
#include "offload/transport.h"

namespace quipu::offload {
namespace {

constexpr std::uint8_t kEndOfOptions = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kMaximumSegmentSize = 2;
constexpr std::size_t kMaximumSegmentSizeLength = 4;

// A cheap look: all other packets of a tunnel are looked at no further.
bool may_be_syn(ByteView packet) {
  const bool v6 = !packet.empty() && packet[0] >> 4 == 6;
  const std::size_t start = v6 ? ipv6::kSize : packet.empty() ? 0 : std::size_t{packet[0] & 15U} * 4;
  if (start < ipv4::kSize || packet.size() < start + tcp::kSize) return false;
  return packet[v6 ? ipv6::kNextHeader : ipv4::kProtocol] == kTcp && (packet[start + tcp::kFlags] & tcp::kSyn) != 0;
}

// Where the option's value stands among the options, when it is there.
std::optional<std::size_t> find_mss(ByteView options) {
  for (std::size_t at = 0; at < options.size();) {
    if (options[at] == kEndOfOptions) return std::nullopt;
    if (options[at] == kNoOperation) {
      ++at;
      continue;
    }
    if (options.size() - at < 2 || options[at + 1] < 2 || options[at + 1] > options.size() - at) return std::nullopt;
    if (options[at] == kMaximumSegmentSize)
      return options[at + 1] == kMaximumSegmentSizeLength ? std::optional(at + 2) : std::nullopt;
    at += options[at + 1];
  }
  return std::nullopt;
}

// RFC 1624, equation 3, for a field at an even or odd place.
void update_checksum(MutableBytes transport, std::size_t at, std::uint16_t before, std::uint16_t after) {
  const auto shifted = [at](std::uint16_t value) {
    return at % 2 == 0 ? value : static_cast<std::uint16_t>(value << 8 | value >> 8);
  };
  std::uint32_t sum = static_cast<std::uint16_t>(~get_u16(transport, tcp::kChecksum));
  sum += static_cast<std::uint16_t>(~shifted(before));
  sum += shifted(after);
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  put_u16(transport, tcp::kChecksum, static_cast<std::uint16_t>(~sum));
}

}  // namespace

void clamp_mss(MutableBytes packet, bool checksum_partial, std::size_t mtu) {
  if (!may_be_syn(packet)) return;
  const auto transport = find_transport(packet);
  if (!transport) return;
  const std::size_t headers = transport->start + tcp::kSize;
  const auto option = find_mss(ByteView(packet).first(transport->header_size).subspan(headers));
  if (!option || mtu <= headers) return;
  const MutableBytes segment = packet.subspan(transport->start);
  const std::size_t at = tcp::kSize + *option;
  const std::uint16_t before = get_u16(segment, at);
  const auto most = static_cast<std::uint16_t>(std::min<std::size_t>(mtu - headers, 0xffff));
  if (before <= most) return;
  put_u16(segment, at, most);
  if (!checksum_partial) update_checksum(segment, at, before, most);
}

}  // namespace quipu::offload
