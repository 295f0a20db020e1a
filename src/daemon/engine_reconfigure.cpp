// SPDX-License-Identifier: Apache-2.0
// The engine's configuration: from one set of peers to another, touching only what differs.
#include "daemon/engine.h"

namespace quipu::daemon {

Result<control::ReloadResult> Engine::reconfigure(Settings settings) {
  control::ReloadResult result;
  PeerChanges changes = m_peers.plan(std::move(settings.peers), settings.config);
  m_plan = std::move(settings.plan);
  m_keys.set_sources(std::move(settings.kms));
  const Result<void> applied = apply(std::move(changes), result);
  m_alarm_at = net::Loop::now();
  m_alarm.set(*m_alarm_at);
  if (!applied) return std::unexpected(applied.error());
  return result;
}

// Removals first, so that their prefixes are free. A prefix may also move between two peers that both stay: whoever
// gives one up comes before whoever gets it, and where two change places, one of them is made anew.
Result<void> Engine::apply(PeerChanges changes, control::ReloadResult& result) {
  const TimePoint now = net::Loop::now();
  for (const protocol::PeerId id : changes.removed) {
    result.removed.push_back(m_peers.name_of(id));
    m_names.forget(id);
    QUIPU_TRY(m_device.remove_peer(id, now, m_actions));
    m_peers.remove(id);
  }
  for (const TablePeer& peer : changes.changed)
    result.changed.push_back(peer.settings.config.name);
  for (std::size_t left = changes.changed.size() + 1; !changes.changed.empty() && changes.changed.size() < left;) {
    left = changes.changed.size();
    std::erase_if(changes.changed, [&](TablePeer& peer) { return update_peer(peer).has_value(); });
  }
  for (const TablePeer& peer : changes.changed) {
    QUIPU_TRY(m_device.remove_peer(peer.id, now, m_actions));
    m_peers.remove(peer.id);
  }
  for (TablePeer& peer : changes.changed)
    QUIPU_TRY(add_peer(std::move(peer)));
  for (TablePeer& peer : changes.added) {
    result.added.push_back(peer.settings.config.name);
    QUIPU_TRY(add_peer(std::move(peer)));
  }
  return {};
}

Result<void> Engine::add_peer(TablePeer peer) {
  QUIPU_TRY(m_device.add_peer(to_protocol(peer.settings, peer.policy, peer.id), net::Loop::now()));
  look_up_endpoint(peer);
  m_peers.put(std::move(peer));
  return {};
}

// `peer` is taken only on success.
Result<void> Engine::update_peer(TablePeer& peer) {
  QUIPU_TRY(m_device.update_peer(to_protocol(peer.settings, peer.policy, peer.id), net::Loop::now(), m_actions));
  look_up_endpoint(peer);
  m_peers.put(std::move(peer));
  return {};
}

void Engine::look_up_endpoint(const TablePeer& peer) {
  m_names.forget(peer.id);
  const auto& endpoint = peer.settings.config.endpoint;
  if (endpoint && !endpoint->literal) m_names.resolve(peer.id, endpoint->text());
}

}  // namespace quipu::daemon
