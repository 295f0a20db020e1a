// SPDX-License-Identifier: Apache-2.0
// Packets in batches between the TUN device and the UDP socket, sealed and opened in place by the Device on the way.
// Copies nothing, allocates nothing per packet, decides nothing.
#pragma once

#include <memory>
#include <vector>

#include "net/udp_bind.h"
#include "protocol/device.h"
#include "tun/tun_device.h"

namespace quipu::daemon {

class DataPlane {
 public:
  static constexpr std::size_t kBatch = 64;
  // Batches per call, so that a full TUN cannot keep the loop from its timers.
  static constexpr int kRounds = 4;

  // All three outlive this.
  DataPlane(protocol::Device& device, tun::TunDevice& tun, net::UdpBind& udp);

  // TUN to UDP, until nothing waits or the share of this turn is used. An error means that the TUN is unusable.
  Result<void> from_tun(TimePoint now);
  // UDP to TUN and to the Device.
  Result<void> from_udp(TimePoint now, protocol::Actions& out);

  void send(const protocol::SendDatagram& datagram);

  // Datagrams that the socket had no room for.
  std::uint64_t send_queue_drops() const { return m_send_queue_drops; }

 private:
  // One pool of kBatch packets of the largest size; pages that are never used stay untouched.
  class Buffers {
   public:
    Buffers() : m_octets(std::make_unique_for_overwrite<std::uint8_t[]>(kBatch * kSize)) {}

    MutableBytes operator[](std::size_t i) { return {m_octets.get() + i * kSize, kSize}; }

   private:
    static constexpr std::size_t kSize = std::size_t{66} * 1024;
    std::unique_ptr<std::uint8_t[]> m_octets;
  };

  void seal_batch(std::size_t packets, TimePoint now);
  void open_batch(std::size_t datagrams, TimePoint now, protocol::Actions& out);
  void transmit(std::span<const net::OutDatagram> datagrams);

  protocol::Device& m_device;
  tun::TunDevice& m_tun;
  net::UdpBind& m_udp;
  Buffers m_sealed;  // packets are read to where they stand in the datagram
  Buffers m_received;
  std::vector<MutableBytes> m_tun_buffers;
  std::vector<tun::ReadPacket> m_tun_packets;
  std::vector<net::InDatagram> m_in;
  std::vector<net::OutDatagram> m_out;
  std::vector<tun::WritePacket> m_write;
  std::uint64_t m_send_queue_drops = 0;
};

}  // namespace quipu::daemon
