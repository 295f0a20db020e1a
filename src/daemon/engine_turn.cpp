// SPDX-License-Identifier: Apache-2.0
// The engine's turns: events in, actions out.
#include <algorithm>

#include "daemon/engine.h"
#include "daemon/event_names.h"

namespace quipu::daemon {
namespace {

constexpr Duration kStampsRetry = std::chrono::seconds(1);

}  // namespace

struct Engine::Visitor {
  Engine& engine;

  void operator()(protocol::SendDatagram& action) const { engine.m_plane.send(std::move(action)); }

  void operator()(protocol::RequestKey& action) const { engine.m_keys.fetch(std::move(action)); }

  // ETSI GS QKD 014 has no way to return a key: its copy at the KMS ends with the KMS's own limit of age.
  void operator()(const protocol::BurnKey& action) const {
    engine.m_outside.log.debug(
        event::kKeyBurnt, "a key will never be used",
        {{"peer", engine.m_peers.name_of(action.peer)}, {"kms", action.source.kms}, {"key_id", action.key_id.value()}});
  }

  void operator()(const protocol::ReserveStamps& action) const {
    engine.m_stamps_wanted = action.end;
    engine.store_stamps();
  }

  void operator()(const protocol::ResolveEndpoint& action) const { engine.m_names.resolve(action.peer, action.name); }

  void operator()(protocol::ReportEvent& action) const {
    std::vector<LogField> fields;
    if (action.peer) fields.push_back({"peer", engine.m_peers.name_of(*action.peer)});
    std::ranges::move(action.fields, std::back_inserter(fields));
    engine.m_outside.log.write(action.level, action.event, action.message, fields);
  }

  void operator()(const protocol::UpdateLanes& action) const {
    for (const auto& lane : engine.m_lanes)
      lane->apply(action.update);
  }
};

template <class Work>
void Engine::post(Work work) {
  m_outside.loop.post([this, alive = std::weak_ptr(m_alive), work = std::move(work)]() mutable {
    if (!alive.expired() && !m_stopped) work();
  });
}

// Called on a lane's thread.
LaneWorker::Handlers Engine::lane_handlers() {
  return {.used =
              [this](const protocol::SideLane::Used& used) {
                post([this, used] {
                  m_device.lane_was_used(used, net::Loop::now());
                  turn();
                });
              },
          .hand_over =
              [this](DataPlane::Parcel parcel) {
                post([this, parcel = std::move(parcel)]() mutable {
                  m_plane.carry(std::move(parcel));
                  m_pump.carry();
                });
              },
          .failed = [this](const Error& error) { post([this, error] { guard(std::unexpected(error)); }); }};
}

void Engine::turn() {
  if (m_stopped) {
    m_actions.clear();
    return;
  }
  m_device.advance(net::Loop::now(), m_actions);
  perform_actions();
  if (!m_rekeys.empty()) {
    const TimePoint now = net::Loop::now();
    m_rekeys.check(m_device.status(now), now);
  }
  m_pump.settle();
  schedule();
}

// Actions may cause actions.
void Engine::perform_actions() {
  while (!m_actions.empty()) {
    protocol::Actions batch;
    batch.swap(m_actions);
    for (protocol::Action& action : batch)
      std::visit(Visitor{*this}, action);
  }
}

// Until it succeeds: without stamps no handshake starts any more, and the tunnels end with their keys.
void Engine::store_stamps() {
  const TimePoint now = net::Loop::now();
  if (const auto stored = m_outside.stamps.reserve(m_stamps_wanted->value()); !stored) {
    if (!std::exchange(m_stamps_failed, true))
      m_outside.log.error(event::kStampsNotStored, "the state folder cannot be written",
                          {error_field(stored.error()), {"alarm", "yes"}});
    m_stamps_retry.set(now + kStampsRetry);
    return;
  }
  m_stamps_retry.cancel();
  if (std::exchange(m_stamps_failed, false))
    m_outside.log.info(event::kStampsStored, "the state folder can be written again");
  m_device.stamps_reserved(*std::exchange(m_stamps_wanted, std::nullopt), now, m_actions);
}

void Engine::schedule() {
  std::optional<TimePoint> due = m_device.next_deadline();
  if (const auto rekey = m_rekeys.next_deadline()) due = due ? std::min(*due, *rekey) : *rekey;
  if (due == m_alarm_at) return;
  m_alarm_at = due;
  if (due)
    m_alarm.set(*due);
  else
    m_alarm.cancel();
}

void Engine::guard(Result<void> carried) {
  if (carried) return turn();
  stop();
  m_on_failure(carried.error());
}

void Engine::on_key(const protocol::RequestKey& request, Result<FetchedKey> result) {
  const TimePoint now = net::Loop::now();
  if (result)
    m_device.key_fetched(request.id, std::move(result->id), std::move(result->key), now, m_actions);
  else
    m_device.key_failed(request.id, classify(result.error().code, request.key_id.has_value()), now, m_actions);
  turn();
}

}  // namespace quipu::daemon
