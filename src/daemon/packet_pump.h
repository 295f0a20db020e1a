// SPDX-License-Identifier: Apache-2.0
// Lets a DataPlane carry packets whenever its loop says that there are some, and stops it from reading while it cannot.
#pragma once

#include <memory>
#include <vector>

#include "daemon/data_plane.h"
#include "net/loop.h"

namespace quipu::daemon {

class PacketPump {
 public:
  // The end of every event. An error means that the TUN is unusable.
  using Handler = net::Callback<void(Result<void>)>;

  // All outlive this. `actions`: what the plane's path asks for meanwhile.
  PacketPump(net::Loop& loop, tun::TunDevice& tun, net::UdpBind& udp, DataPlane& plane, protocol::Actions& actions,
             Handler on_event);

  void start();
  void stop();

  // Of whoever changed what the plane waits for, and at the end of every turn.
  void settle();

  // The plane has something to carry that is not in the TUN.
  void carry();

 private:
  void on_udp();
  void on_room();

  net::Loop& m_loop;
  tun::TunDevice& m_tun;
  net::UdpBind& m_udp;
  DataPlane& m_plane;
  protocol::Actions& m_actions;
  Handler m_on_event;
  bool m_reads = false;
  bool m_room_watched = false;
  std::unique_ptr<net::FdWatch> m_tun_watch;
  std::vector<std::unique_ptr<net::FdWatch>> m_udp_watches;
};

}  // namespace quipu::daemon
