// SPDX-License-Identifier: Apache-2.0
// Packets in batches between a TUN queue and a UDP socket, sealed and opened by one lane on the way. Runs of
// segments are cut on the way out and gathered again on the way in, so that the kernel carries each run, not each
// segment, through its stack; whatever of that the kernel lacks is left out by `tun` and `udp`. Whose packet is too
// large for the path is told. Allocates nothing per packet, decides nothing.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "base/tally.h"
#include "daemon/datagram_trains.h"
#include "daemon/host_rates.h"
#include "net/loop.h"
#include "net/udp_bind.h"
#include "offload/coalescer.h"
#include "offload/cutter.h"
#include "protocol/packet_path.h"
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

  // From any thread.
  struct Drops {
    Tally send_queue;  // datagrams that neither the socket nor the queue before it had room for
    Tally malformed;   // packets of the TUN that are no IP packets, or not what their hints say
  };

  // As it was read from a TUN: perhaps a run.
  struct Packet {
    MutableBytes bytes;
    tun::PacketHints hints;
  };

  // Packets on their way from one lane to another, which may be on another thread. While there is one, it counts
  // against what its sender may have on the way.
  class Parcel {
   public:
    // A copy.
    Parcel(std::span<const Packet> packets, std::shared_ptr<std::atomic<std::size_t>> on_the_way);
    Parcel(Parcel&&) = default;
    Parcel& operator=(Parcel&&) = delete;
    ~Parcel();

    std::span<const Packet> packets() const { return m_packets; }

   private:
    Bytes m_octets;
    std::vector<Packet> m_packets;
    std::shared_ptr<std::atomic<std::size_t>> m_on_the_way;  // octets
  };

  // Octets that are handed over and not yet carried; what comes on top is dropped.
  static constexpr std::size_t kMostOnTheWay = std::size_t{1} << 20;

  // Takes packets that `path` has no route for.
  using HandOver = net::Callback<void(Parcel)>;

  // All three outlive this. Without `hand_over`, `path` has counted what it has no route for.
  DataPlane(protocol::PacketPath& path, tun::TunDevice& tun, net::UdpBind& udp, const Options& options,
            HandOver hand_over = {});

  // TUN to UDP, until nothing waits or the share of this turn is used. An error means that the TUN is unusable.
  Result<void> from_tun(TimePoint now);
  // Packets that another lane handed over: the next from_tun() begins with them.
  void carry(Parcel parcel);
  // UDP to TUN and to the path.
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

  // Packets in the order in which they are to be sealed.
  struct Intake {
    std::span<const Packet> packets;
    std::size_t next = 0;  // the first of them that is not sealed

    bool is_done() const { return next == packets.size(); }
  };

  struct Carried {
    Parcel parcel;
    Intake intake;
  };

  struct Run {
    protocol::Route route;
    offload::Cutter cutter;
    std::uint8_t traffic_class;  // of its datagrams
  };

  Result<void> read_batch();
  // Octets of what was sealed. Stops where a packet has to wait for the socket.
  std::size_t seal_all(Intake& intake, TimePoint now);
  // False: the packet has to wait.
  bool seal(const Packet& packet, TimePoint now);
  void no_route(const Packet& packet, Errc error);
  void hand_over();
  Outcome<Run> begin_run(const Packet& packet, const protocol::Route& route);
  void carry_all(TimePoint now);
  bool has_room_for(const offload::Cutter& cutter);
  void seal_segment(const Run& run, std::size_t i, TimePoint now);
  void answer_too_big(ByteView packet, const protocol::Route& route, TimePoint now);
  Result<void> write_answers();
  void open(MutableBytes datagram, const net::InDatagram& in, TimePoint now, protocol::Actions& out);
  void open_batch(std::size_t received, TimePoint now, protocol::Actions& out);
  void transmit();
  void flush();
  void transmit_all(std::deque<protocol::SendDatagram>& queue);

  protocol::PacketPath& m_path;
  tun::TunDevice& m_tun;
  net::UdpBind& m_udp;
  Options m_options;
  HandOver m_hand_over;
  Buffers m_read{kReads};
  Buffers m_received{kReceives};
  std::vector<MutableBytes> m_tun_buffers;
  std::vector<tun::ReadPacket> m_tun_packets;
  std::vector<Packet> m_batch;
  Intake m_own;  // of the batch
  std::deque<Carried> m_carried;
  std::vector<Packet> m_unrouted;  // of the batch
  std::shared_ptr<std::atomic<std::size_t>> m_on_the_way = std::make_shared<std::atomic<std::size_t>>(0);
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
