// SPDX-License-Identifier: Apache-2.0
#include "daemon/lane_worker.h"

#include <pthread.h>

namespace quipu::daemon {

LaneWorker::LaneWorker(protocol::Lane number, const Outside& outside, const DataPlane::Options& options,
                       Handlers handlers)
    : m_number(number),
      m_outside(outside),
      m_handlers(std::move(handlers)),
      m_lane(number),
      m_plane(m_lane, outside.tun, outside.udp, options,
              [this](std::span<const DataPlane::Packet> packets) { m_handlers.hand_over(packets); }),
      m_pump(m_loop, outside.tun, outside.udp, m_plane, m_actions,
             [this](const Result<void>& carried) { turn(carried); }),
      m_alarm(m_loop, [this] { turn({}); }) {}

LaneWorker::~LaneWorker() {
  stop();
}

void LaneWorker::start() {
  m_pump.start();
  m_thread = std::thread([this] { m_loop.run(); });
  const std::string name = "lane-" + std::to_string(m_number.value());
  ::pthread_setname_np(m_thread.native_handle(), name.c_str());
}

void LaneWorker::stop() {
  if (!m_thread.joinable()) return;
  m_loop.stop();
  m_thread.join();
  m_pump.stop();
  m_lane = protocol::SideLane(m_number);
}

void LaneWorker::apply(const protocol::LaneUpdate& update) {
  m_loop.post([this, update] { m_lane.apply(update); });
}

void LaneWorker::take_back() {
  m_loop.post([this] {
    m_plane.take_back();
    turn({});
  });
}

void LaneWorker::turn(const Result<void>& carried) {
  if (m_failed) return;
  if (!carried) {
    m_failed = true;
    m_pump.stop();
    m_handlers.failed(carried.error());
    return;
  }
  m_lane.advance(net::Loop::now(), m_events);
  for (protocol::SendDatagram& datagram : m_events.send)
    m_plane.send(std::move(datagram));
  for (const protocol::SideLane::Used& used : m_events.used)
    m_handlers.used(used);
  m_events = {};
  m_pump.settle();
  if (const auto due = m_lane.next_deadline()) m_alarm.set(*due);
}

}  // namespace quipu::daemon
