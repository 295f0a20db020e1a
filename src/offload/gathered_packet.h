// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "base/bytes.h"
#include "offload/packet_hints.h"

namespace quipu::offload {

// What is handed to the kernel as one packet.
struct GatheredPacket {
  std::span<const ByteView> parts;  // laid end to end
  PacketHints hints;
};

}  // namespace quipu::offload
