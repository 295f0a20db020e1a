// SPDX-License-Identifier: Apache-2.0
// Packets in batches between the TUN device and the UDP socket, sealed and opened by the Device on the way. Runs of
// segments are cut on the way out and gathered again on the way in, so that the kernel carries each run, not each
// segment, through its stack; whatever of that the kernel lacks is left out by `tun` and `udp`. Allocates nothing per
// packet, decides nothing.
#pragma once

#include <memory>
#include <vector>

#include "daemon/datagram_trains.h"
#include "net/udp_bind.h"
#include "offload/coalescer.h"
#include "offload/cutter.h"
#include "protocol/device.h"
#include "tun/tun_device.h"

namespace quipu::daemon {

class DataPlane {
 public:
  // Packets, or runs of them, that are read at once.
  static constexpr std::size_t kReads = 64;
  // Datagrams, or trains of them, that are received at once.
  static constexpr std::size_t kReceives = 32;
  // Batches per call, so that a full TUN cannot keep the loop from its timers.
  static constexpr int kRounds = 4;

  struct Options {
    std::size_t mtu = 0;  // of the TUN, octets
    bool copy_dscp = false;
  };

  struct Drops {
    std::uint64_t send_queue = 0;  // datagrams that the socket had no room for
    std::uint64_t malformed = 0;   // packets of the TUN that are no IP packets, or not what their hints say
  };

  // All three outlive this.
  DataPlane(protocol::Device& device, tun::TunDevice& tun, net::UdpBind& udp, const Options& options);

  // TUN to UDP, until nothing waits or the share of this turn is used. An error means that the TUN is unusable.
  Result<void> from_tun(TimePoint now);
  // UDP to TUN and to the Device.
  Result<void> from_udp(TimePoint now, protocol::Actions& out);

  void send(const protocol::SendDatagram& datagram);

  const Drops& drops() const { return m_drops; }

 private:
  // `count` buffers of the largest size; pages that are never used stay untouched.
  class Buffers {
   public:
    explicit Buffers(std::size_t count) : m_octets(std::make_unique_for_overwrite<std::uint8_t[]>(count * kSize)) {}

    MutableBytes operator[](std::size_t i) { return {m_octets.get() + i * kSize, kSize}; }

   private:
    static constexpr std::size_t kSize = tun::kLargestRead;
    std::unique_ptr<std::uint8_t[]> m_octets;
  };

  // A packet of the TUN, perhaps a run.
  struct Run {
    protocol::Route route;
    offload::Cutter cutter;
    std::uint8_t traffic_class;  // of its datagrams
  };

  Outcome<void> seal(MutableBytes packet, const tun::PacketHints& hints, TimePoint now);
  void seal_segment(const Run& run, std::size_t i, TimePoint now);
  void open(MutableBytes datagram, const net::InDatagram& in, TimePoint now, protocol::Actions& out);
  void open_batch(std::size_t received, TimePoint now, protocol::Actions& out);
  void transmit_trains();

  protocol::Device& m_device;
  tun::TunDevice& m_tun;
  net::UdpBind& m_udp;
  Options m_options;
  Buffers m_read{kReads};
  Buffers m_received{kReceives};
  std::vector<MutableBytes> m_tun_buffers;
  std::vector<tun::ReadPacket> m_tun_packets;
  std::vector<net::InDatagram> m_in;
  DatagramTrains m_out;
  offload::Coalescer m_opened;
  Drops m_drops;
};

}  // namespace quipu::daemon
