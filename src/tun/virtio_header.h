// SPDX-License-Identifier: Apache-2.0
// What goes before each packet of a TUN device with IFF_VNET_HDR: struct virtio_net_hdr, 10 octets in this machine's
// order (the kernel's header of that name is no C++).
#pragma once

#include <array>
#include <optional>

#include "base/bytes.h"
#include "offload/packet_hints.h"

namespace quipu::tun {

inline constexpr std::size_t kVirtioHeaderSize = 10;
using VirtioHeader = std::array<std::uint8_t, kVirtioHeaderSize>;

VirtioHeader to_virtio(const offload::PacketHints& hints);
// Nothing for what no device of ours was told that we understand.
std::optional<offload::PacketHints> from_virtio(const VirtioHeader& header);

}  // namespace quipu::tun
