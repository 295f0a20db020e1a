// SPDX-License-Identifier: Apache-2.0
// What the kernel lost in front of us because we were slower than what came: no fault of the tunnel's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace quipu::daemon {

// Packets for the interface that found its queue full, from the text of /proc/self/net/dev (which, unlike /sys, always
// shows the process's own network namespace). Nothing when the interface is not in it.
std::optional<std::uint64_t> transmit_drops(std::string_view proc_net_dev, std::string_view interface);

// The same, asked of the kernel; 0 when it does not say.
std::uint64_t tun_queue_drops(std::string_view interface);
// Datagrams that found the sockets' receive buffers full.
std::uint64_t receive_queue_drops(std::span<const int> sockets);

}  // namespace quipu::daemon
