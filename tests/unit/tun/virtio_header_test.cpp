// SPDX-License-Identifier: Apache-2.0
#include "tun/virtio_header.h"

#include <gtest/gtest.h>

namespace quipu::tun {
namespace {

using offload::PacketHints;
using Segmentation = PacketHints::Segmentation;

TEST(VirtioHeader, GoesThereAndBack) {
  for (const Segmentation segmentation :
       {Segmentation::none, Segmentation::tcp4, Segmentation::tcp6, Segmentation::udp})
    for (const bool checksum : {false, true}) {
      const PacketHints hints{segmentation, checksum, 0x0102, 0x0304, 0x0506, 0x0708};
      EXPECT_EQ(from_virtio(to_virtio(hints)), hints);
    }
  EXPECT_EQ(to_virtio({}), VirtioHeader{});
}

// OASIS virtio 1.2, 5.1.6: VIRTIO_NET_HDR_GSO_TCPV4 1, TCPV6 4, UDP_L4 5; ECN 0x80; VIRTIO_NET_HDR_F_NEEDS_CSUM 1.
TEST(VirtioHeader, HasTheNumbersOfTheStandard) {
  VirtioHeader header{};
  header[0] = 1;
  for (const auto& [type, segmentation] : {std::pair<std::uint8_t, Segmentation>{0x01, Segmentation::tcp4},
                                           {0x81, Segmentation::tcp4},
                                           {0x04, Segmentation::tcp6},
                                           {0x84, Segmentation::tcp6},
                                           {0x05, Segmentation::udp}}) {
    header[1] = type;
    const auto hints = from_virtio(header);
    ASSERT_TRUE(hints.has_value());
    EXPECT_EQ(hints->segmentation, segmentation);
    EXPECT_TRUE(hints->checksum_wanted);
  }
  for (const std::uint8_t type : std::to_array<std::uint8_t>({0x02, 0x03, 0x80, 0x85, 0xff})) {
    header[1] = type;
    EXPECT_FALSE(from_virtio(header).has_value()) << int{type};
  }
}

}  // namespace
}  // namespace quipu::tun
