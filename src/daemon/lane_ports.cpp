// SPDX-License-Identifier: Apache-2.0
#include "daemon/lane_ports.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "protocol/ids.h"

namespace quipu::daemon {
namespace {

constexpr int kAttempts = 16;  // to find ports in a row

using Ports = std::vector<std::unique_ptr<net::UdpBind>>;

Result<Ports> open_row(std::uint16_t first, std::size_t wanted) {
  Ports out(1);
  QUIPU_TRY_ASSIGN(out[0], net::open_udp({.port = first, .coalesce_received = true}));
  while (out.size() < wanted && out[0]->port() + out.size() <= std::numeric_limits<std::uint16_t>::max()) {
    const auto port = static_cast<std::uint16_t>(out[0]->port() + out.size());
    auto next = net::open_udp({.port = port, .coalesce_received = true});
    if (!next) break;
    out.push_back(*std::move(next));
  }
  return out;
}

}  // namespace

std::size_t wanted_lanes(std::uint8_t configured, std::uint16_t first) {
  if (configured != 0) return configured;
  const std::size_t ports = first == 0 ? protocol::kMaxLanes : std::numeric_limits<std::uint16_t>::max() - first + 1U;
  return std::clamp<std::size_t>(std::thread::hardware_concurrency() / 2, 1, std::min(ports, protocol::kMaxLanes));
}

Result<Ports> open_lane_ports(std::uint16_t first, std::size_t wanted) {
  auto out = open_row(first, wanted);
  for (int i = 1; first == 0 && out && out->size() < wanted && i < kAttempts; ++i)
    out = open_row(first, wanted);
  return out;
}

}  // namespace quipu::daemon
