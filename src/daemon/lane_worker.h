// SPDX-License-Identifier: Apache-2.0
// A lane after the first on a thread of its own: its SideLane, its TUN queue and its UDP port.
#pragma once

#include <mutex>
#include <thread>

#include "daemon/packet_pump.h"
#include "protocol/side_lane.h"

namespace quipu::daemon {

class LaneWorker {
 public:
  // Both outlive the worker, whose thread alone uses them while it runs.
  struct Outside {
    tun::TunDevice& tun;
    net::UdpBind& udp;
  };

  // Called on the worker's thread.
  struct Handlers {
    net::Callback<void(const protocol::SideLane::Used&)> used;
    // Packets for the first lane.
    DataPlane::HandOver hand_over;
    // Once at most: the lane has stopped.
    net::Callback<void(const Error&)> failed;
  };

  LaneWorker(protocol::Lane number, const Outside& outside, const DataPlane::Options& options, Handlers handlers);
  LaneWorker(const LaneWorker&) = delete;
  LaneWorker& operator=(const LaneWorker&) = delete;
  // As stop().
  ~LaneWorker();

  void start();
  // No handler is called any more after this, and the lane holds no key.
  void stop();

  // --- from any thread ---
  void apply(const protocol::LaneUpdate& update);

  const protocol::SideLane::Drops& lane_drops() const { return m_lane.drops(); }

  const DataPlane::Drops& plane_drops() const { return m_plane.drops(); }

  const Outside& outside() const { return m_outside; }

 private:
  void turn(const Result<void>& carried);
  void take_updates();

  protocol::Lane m_number;
  Outside m_outside;
  Handlers m_handlers;
  net::Loop m_loop;
  protocol::SideLane m_lane;
  protocol::SideLane::Events m_events;
  protocol::Actions m_actions;  // a SideLane asks for none
  DataPlane m_plane;
  PacketPump m_pump;
  net::Timer m_alarm;
  bool m_failed = false;
  std::mutex m_mutex;                           // of the updates alone
  std::vector<protocol::LaneUpdate> m_updates;  // that the lane has not seen
  std::thread m_thread;
};

}  // namespace quipu::daemon
