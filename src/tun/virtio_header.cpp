// SPDX-License-Identifier: Apache-2.0
#include "tun/virtio_header.h"

namespace quipu::tun {
namespace {

using Segmentation = offload::PacketHints::Segmentation;

// linux/virtio_net.h.
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kNone = 0;
constexpr std::uint8_t kTcp4 = 1;
constexpr std::uint8_t kTcp6 = 4;
constexpr std::uint8_t kUdp = 5;
constexpr std::uint8_t kEcn = 0x80;  // a run of TCP with CWR in it

// Places of the fields; all but the first two have two octets.
constexpr std::size_t kFlags = 0;
constexpr std::size_t kType = 1;
constexpr std::size_t kHeaderSize = 2;
constexpr std::size_t kSegmentSize = 4;
constexpr std::size_t kChecksumStart = 6;
constexpr std::size_t kChecksumOffset = 8;

std::uint8_t type_of(Segmentation segmentation) {
  switch (segmentation) {
    case Segmentation::tcp4: return kTcp4;
    case Segmentation::tcp6: return kTcp6;
    case Segmentation::udp: return kUdp;
    case Segmentation::none: break;
  }
  return kNone;
}

std::optional<Segmentation> segmentation_of(std::uint8_t type) {
  switch (type) {
    case kNone: return Segmentation::none;
    case kTcp4:
    case kTcp4 | kEcn: return Segmentation::tcp4;
    case kTcp6:
    case kTcp6 | kEcn: return Segmentation::tcp6;
    case kUdp: return Segmentation::udp;
    default: return std::nullopt;
  }
}

std::uint16_t get(const VirtioHeader& header, std::size_t at) {
  std::uint16_t value = 0;
  std::memcpy(&value, header.data() + at, sizeof value);
  return value;
}

void put(VirtioHeader& header, std::size_t at, std::uint16_t value) {
  std::memcpy(header.data() + at, &value, sizeof value);
}

}  // namespace

VirtioHeader to_virtio(const offload::PacketHints& hints) {
  VirtioHeader out{};
  out[kFlags] = hints.checksum_wanted ? kNeedsChecksum : 0;
  out[kType] = type_of(hints.segmentation);
  put(out, kHeaderSize, hints.header_size);
  put(out, kSegmentSize, hints.segment_size);
  put(out, kChecksumStart, hints.checksum_start);
  put(out, kChecksumOffset, hints.checksum_offset);
  return out;
}

std::optional<offload::PacketHints> from_virtio(const VirtioHeader& header) {
  const auto segmentation = segmentation_of(header[kType]);
  if (!segmentation) return std::nullopt;
  return offload::PacketHints{.segmentation = *segmentation,
                              .checksum_wanted = (header[kFlags] & kNeedsChecksum) != 0,
                              .checksum_start = get(header, kChecksumStart),
                              .checksum_offset = get(header, kChecksumOffset),
                              .header_size = get(header, kHeaderSize),
                              .segment_size = get(header, kSegmentSize)};
}

}  // namespace quipu::tun
