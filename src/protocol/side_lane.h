// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "protocol/lane_path.h"
#include "protocol/lane_update.h"
#include "protocol/packet_path.h"
#include "protocol/rate.h"

namespace quipu::protocol {

// A lane of a Device after the first: carries packets under the keys that the Device makes, on a thread of its own, and
// knows of nothing else. It shares nothing that changes with any other lane: what the Device decides comes by apply(),
// what the Device has to know goes by Events. docs/protocol.md, "Lanes".
//
// The program around it, once per turn of its event loop: as for a Device, with `Events` for its actions. A packet that
// has no Route here is the Device's.
class SideLane final : public PacketPath {
 public:
  // For the Device's thread, Device::lane_was_used().
  struct Used {
    PeerId peer;
    std::optional<Endpoint> from;  // where the peer's lane is by now, when that is another address than the Device has
  };

  struct Events {
    std::vector<SendDatagram> send;  // by this lane's port
    std::vector<Used> used;
  };

  struct Drops {
    Tally unknown_index;
    Tally malformed;  // or no data packets
  };

  // `number`: 1 to kMaxLanes - 1.
  explicit SideLane(Lane number) : m_number(number) {}

  void apply(const LaneUpdate& update);

  // --- PacketPath ---
  Outcome<Route> route(ByteView packet, TimePoint now) override;
  std::size_t packet_limit(const Route& route) const override;
  Outcome<Sealed> seal(const Route& route, const InnerPacket& packet, MutableBytes out, TimePoint now) override;
  Outcome<Opened> open(MutableBytes datagram, const Endpoint& from, TimePoint now) override;
  void discard(const Opened& opened, DropReason reason) override;
  void receive(MutableBytes datagram, const Endpoint& from, TimePoint now, Actions& out) override;

  // The end of a turn.
  void advance(TimePoint now, Events& out);
  // When to call advance() at the latest.
  std::optional<TimePoint> next_deadline() const;

  // From any thread.
  const Drops& drops() const { return m_drops; }

 private:
  struct Peer : RouteTarget {
    PeerView view;
    std::optional<Endpoint> endpoint;  // of this lane
    LanePath path;
    TokenBucket path_begins{kPathBeginInterval, kPathBeginBurst};
    TokenBucket probe_answers{kPathAnswerInterval, kPathAnswerBurst};
    std::optional<Endpoint> moved;  // to be told
    bool touched = false;
  };

  struct Receiver {
    Peer* peer;
    PeerView::Keys keys;
  };

  void see(const PeerView& view);
  void forget(PeerId id);
  void forget_keys(const Peer& peer);
  void know_keys(Peer& peer);
  void locate(Peer& peer, const std::optional<Endpoint>& first_lane) const;
  LaneTally& tally(const Peer& peer) const;
  std::unexpected<Errc> dropped(Peer& peer, Errc error) const;
  bool has_keys(const Peer& peer, TimePoint now) const;
  void touch(Peer& peer);
  Outcome<OpenedFrame> open_frame(const Receiver& receiver, MutableBytes datagram, TimePoint now);
  void follow(Peer& peer, const Endpoint& from, TimePoint now);
  void handle_control_frame(Peer& peer, ByteView payload, TimePoint now);
  void transmit(const Peer& peer, ByteView control_frame);
  void progress(Peer& peer, TimePoint now);
  void tell_whether_it_carries(const Peer& peer) const;
  void know_routes(std::shared_ptr<const AllowedIps> routes);
  void tell(Peer& peer, Events& out) const;

  Lane m_number;
  std::shared_ptr<const AllowedIps> m_routes = std::make_shared<const AllowedIps>();
  std::unordered_map<PeerId, Peer> m_peers;
  std::unordered_map<SessionIndex, Receiver> m_receivers;
  std::vector<Peer*> m_touched;
  std::vector<Peer*> m_touched_before;  // empty but for its room
  std::vector<SendDatagram> m_outbox;
  std::optional<TimePoint> m_due;  // of all paths
  Drops m_drops;
};

}  // namespace quipu::protocol
