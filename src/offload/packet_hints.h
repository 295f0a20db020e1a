// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace quipu::offload {

// What the kernel may say about a packet that stands for several (segmentation offload) or whose checksum is still to
// be filled in; the fields of struct virtio_net_hdr (OASIS virtio 1.2, 5.1.6). A default-constructed value is an
// ordinary, complete packet.
struct PacketHints {
  enum class Segmentation : std::uint8_t { none, tcp4, tcp6, udp };

  Segmentation segmentation = Segmentation::none;
  bool checksum_wanted = false;
  std::uint16_t checksum_start = 0;   // octets from the packet's first to where the checksum begins
  std::uint16_t checksum_offset = 0;  // octets from checksum_start to the checksum field
  std::uint16_t header_size = 0;      // octets of all headers
  std::uint16_t segment_size = 0;     // octets of payload per segment

  bool operator==(const PacketHints&) const = default;
};

// Which of them a device understands when a packet is written to it.
struct Offloads {
  bool checksum = false;  // checksum_wanted, without which there are none of the others
  bool tcp4 = false;
  bool tcp6 = false;
  bool udp = false;

  bool operator==(const Offloads&) const = default;
};

}  // namespace quipu::offload
