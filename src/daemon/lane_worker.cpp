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
              [this](DataPlane::Parcel parcel) { m_handlers.hand_over(std::move(parcel)); }),
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
  m_updates.clear();
}

void LaneWorker::apply(const protocol::LaneUpdate& update) {
  {
    const std::scoped_lock lock(m_mutex);
    m_updates.push_back(update);
    if (m_updates.size() > 1) return;
  }
  m_loop.post([this] { take_updates(); });
}

// Not in what is posted, which outlives stop(): an update may hold keys.
void LaneWorker::take_updates() {
  std::vector<protocol::LaneUpdate> updates;
  {
    const std::scoped_lock lock(m_mutex);
    updates.swap(m_updates);
  }
  for (const protocol::LaneUpdate& update : updates)
    m_lane.apply(update);
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
  m_events.send.clear();
  m_events.used.clear();
  m_pump.settle();
  if (const auto due = m_lane.next_deadline()) m_alarm.set(*due);
}

}  // namespace quipu::daemon
