// SPDX-License-Identifier: Apache-2.0
#include "daemon/packet_pump.h"

#include <algorithm>

namespace quipu::daemon {

PacketPump::PacketPump(net::Loop& loop, tun::TunDevice& tun, net::UdpBind& udp, DataPlane& plane,
                       protocol::Actions& actions, Handler on_event)
    : m_loop(loop), m_tun(tun), m_udp(udp), m_plane(plane), m_actions(actions), m_on_event(std::move(on_event)) {}

void PacketPump::start() {
  m_tun_watch = std::make_unique<net::FdWatch>(m_loop, m_tun.fd());
  for (const int descriptor : m_udp.descriptors()) {
    m_udp_watches.push_back(std::make_unique<net::FdWatch>(m_loop, descriptor));
    m_udp_watches.back()->on_readable([this] { on_udp(); });
  }
  settle();
}

void PacketPump::stop() {
  m_tun_watch.reset();
  m_udp_watches.clear();
}

// Packets wait in the kernel meanwhile, whose queues know which of them to drop.
void PacketPump::settle() {
  if (!m_tun_watch) return;
  if (const bool reads = !m_plane.waits_for(); reads != m_reads) {
    m_reads = reads;
    if (reads)
      m_tun_watch->on_readable([this] { carry(); });
    else
      m_tun_watch->on_readable(nullptr);
  }
  if (m_room_watched || !m_plane.waits_for()) return;
  m_room_watched = true;
  const auto descriptors = m_udp.descriptors();
  const auto full = std::ranges::find(descriptors, *m_plane.waits_for()) - descriptors.begin();
  m_udp_watches[static_cast<std::size_t>(full)]->when_writable([this] { on_room(); });
}

void PacketPump::carry() {
  m_on_event(m_plane.from_tun(net::Loop::now()));
}

void PacketPump::on_udp() {
  m_on_event(m_plane.from_udp(net::Loop::now(), m_actions));
}

void PacketPump::on_room() {
  m_room_watched = false;
  m_plane.resume();
  carry();
}

}  // namespace quipu::daemon
