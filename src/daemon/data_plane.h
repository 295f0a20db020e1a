// SPDX-License-Identifier: Apache-2.0
// Packets in batches between the TUN device and the UDP socket, sealed and opened by the Device on the way. Runs of
// segments are cut on the way out and gathered again on the way in, so that the kernel carries each run, not each
// segment, through its stack; whatever of that the kernel lacks is left out by `tun` and `udp`. Whose packet is too
// large for the path is told. Allocates nothing per packet, decides nothing.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "daemon/datagram_trains.h"
#include "daemon/host_rates.h"
#include "net/udp_bind.h"
#include "offload/coalescer.h"
#include "offload/cutter.h"
#include "protocol/device.h"
#include "tun/tun_device.h"

namespace quipu::daemon {

class DataPlane {
 public:
  // Packets, or runs of them, that are read at once.
  static constexpr std::size_t kReads = 32;
  // Datagrams, or trains of them, that are received at once.
  static constexpr std::size_t kReceives = 32;
  // A call's share, so that no load keeps the loop from its timers: batches of datagrams; octets of packets, of which
  // each counts as so many more.
  static constexpr int kRounds = 4;
  static constexpr std::size_t kShare = std::size_t{1} << 20;
  static constexpr std::size_t kPerPacket = 4096;

  struct Options {
    std::size_t mtu = 0;  // of the TUN, octets
    bool copy_dscp = false;
  };

  struct Drops {
    std::uint64_t send_queue = 0;  // datagrams that neither the socket nor the queue before it had room for
    std::uint64_t malformed = 0;   // packets of the TUN that are no IP packets, or not what their hints say
  };

  // All three outlive this.
  DataPlane(protocol::Device& device, tun::TunDevice& tun, net::UdpBind& udp, const Options& options);

  // TUN to UDP, until nothing waits or the share of this turn is used. An error means that the TUN is unusable.
  Result<void> from_tun(TimePoint now);
  // UDP to TUN and to the Device.
  Result<void> from_udp(TimePoint now, protocol::Actions& out);

  void send(protocol::SendDatagram datagram);

  // The socket is full: what waits for it, and what the TUN has, are for when it can be written to again. Handshakes go
  // first then, so that no load keeps a tunnel from its next keys.
  std::optional<int> waits_for() const { return m_waits_for; }

  // It can be.
  void resume();

  std::size_t mtu() const { return m_options.mtu; }

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

  // False: the packet that was read next has to wait for the socket.
  bool seal_next(TimePoint now);
  Outcome<Run> begin_run(MutableBytes packet, const tun::PacketHints& hints);
  bool has_room_for(const offload::Cutter& cutter);
  void seal_segment(const Run& run, std::size_t i, TimePoint now);
  void answer_too_big(ByteView packet, const protocol::Route& route, TimePoint now);
  Result<void> write_answers();
  void open(MutableBytes datagram, const net::InDatagram& in, TimePoint now, protocol::Actions& out);
  void open_batch(std::size_t received, TimePoint now, protocol::Actions& out);
  void transmit();
  void flush();
  void transmit_all(std::deque<protocol::SendDatagram>& queue);

  protocol::Device& m_device;
  tun::TunDevice& m_tun;
  net::UdpBind& m_udp;
  Options m_options;
  Buffers m_read{kReads};
  Buffers m_received{kReceives};
  std::vector<MutableBytes> m_tun_buffers;
  std::vector<tun::ReadPacket> m_tun_packets;
  std::size_t m_read_count = 0;  // packets that were read
  std::size_t m_next = 0;        // the first of them that is not sealed
  std::vector<net::InDatagram> m_in;
  DatagramTrains m_out;
  std::size_t m_sent = 0;                           // trains of it that left
  std::deque<protocol::SendDatagram> m_handshakes;  // while the socket is full
  std::deque<protocol::SendDatagram> m_frames;      // keepalives, probes, packets that waited for a session
  std::optional<int> m_waits_for;
  offload::Coalescer m_opened;
  HostRates m_answer_rates;
  std::vector<Bytes> m_answers;
  Drops m_drops;
};

}  // namespace quipu::daemon
