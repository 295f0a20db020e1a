// SPDX-License-Identifier: Apache-2.0
// From what the parts know to what `quipu status` shows. Decides nothing and measures nothing.
#pragma once

#include "control/status.h"
#include "daemon/key_fetcher.h"
#include "daemon/peer_table.h"
#include "net/udp_bind.h"
#include "protocol/status.h"
#include "tun/tun_device.h"

namespace quipu::daemon {

double seconds(Duration duration);
double milliseconds(Duration duration);

control::TunnelStatus tunnel_status(const protocol::PeerStatus& peer, const TablePeer& settings,
                                    const KeyFetcher& keys);
// Datagrams that belong to no tunnel, by reason.
std::map<std::string, std::uint64_t> datagram_drops(const protocol::DeviceStatistics& statistics);
std::vector<std::string> missing_offloads(const tun::Offloads& tun, const net::UdpOffloads& udp);

}  // namespace quipu::daemon
