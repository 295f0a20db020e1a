// SPDX-License-Identifier: Apache-2.0
// How many lanes a device has, and their ports.
#pragma once

#include <memory>
#include <vector>

#include "net/udp_bind.h"

namespace quipu::daemon {

// `configured`: device.lanes. 0: one for every two processors, since the kernel has as much to do with each packet, and
// no more than there are ports from `first` on, if that is not 0.
std::size_t wanted_lanes(std::uint8_t configured, std::uint16_t first);

// For each lane the port after that of the one before, from `first` on; 0: wherever there are as many. Fewer than
// wanted, but one at least, when a port is somebody else's. Errors: of the first, as open_udp().
Result<std::vector<std::unique_ptr<net::UdpBind>>> open_lane_ports(std::uint16_t first, std::size_t wanted);

}  // namespace quipu::daemon
