// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/strong.h"

namespace quipu::protocol {

// Which keypair a data or handshake packet belongs to, chosen at random by its receiver.
using SessionIndex = Strong<struct SessionIndexTag, std::uint32_t>;
// Packet number under one key of one lane; starts at 0, never restored.
using Counter = Strong<struct CounterTag, std::uint64_t>;
// Data path of its own within a session: sub-keys, counters and a replay window. 0 to kMaxLanes - 1.
using Lane = Strong<struct LaneTag, std::uint8_t>;
inline constexpr std::size_t kMaxLanes = 16;
// Handshakes, and whatever a Device says of its own, go by this one.
inline constexpr Lane kFirstLane{0};
// Number of an initiation, strictly growing per initiator; reserved durably in ranges, no clock.
using Stamp = Strong<struct StampTag, std::uint64_t>;
// Local name of a configured peer; not on the wire.
using PeerId = Strong<struct PeerIdTag, std::uint32_t>;
// Which of several tunnels between the same two identities; configured alike at both ends.
using TunnelId = Strong<struct TunnelIdTag, std::uint32_t>;

}  // namespace quipu::protocol
