// SPDX-License-Identifier: Apache-2.0
// The engine's configuration: from one set of peers to another, touching only what differs.
#include <set>

#include "daemon/engine.h"

namespace quipu::daemon {
namespace {

// Peers are told apart by their keys, and people tell them apart by name.
void join_replaced(control::ReloadResult& result) {
  std::erase_if(result.added, [&](const std::string& name) {
    if (std::erase(result.removed, name) == 0) return false;
    result.changed.push_back(name + " (public_key)");
    return true;
  });
}

std::set<protocol::PeerId> peers_with_session(const protocol::Device& device) {
  std::set<protocol::PeerId> out;
  for (const protocol::PeerStatus& peer : device.status(net::Loop::now()))
    if (peer.session_up) out.insert(peer.id);
  return out;
}

}  // namespace

Result<void> Engine::check(const Settings& settings) const {
  std::set<config::PublicKey> keys;
  std::set<IpPrefix> prefixes;
  for (const PeerSettings& peer : settings.peers) {
    const std::string where = "peer '" + peer.config.name + "'";
    QUIPU_TRY(check_peer(peer, settings.config));
    // The key that is in use: one that a changed file holds takes effect with a restart.
    if (peer.config.public_key == m_device.public_key().value())
      return fail(Errc::refused, where + ": its public key is this device's own");
    if (!keys.insert(peer.config.public_key).second)
      return fail(Errc::duplicate, where + ": another peer has the same public key");
    for (const IpPrefix& prefix : peer.config.allowed_ips)
      if (!prefixes.insert(prefix.masked()).second)
        return fail(Errc::duplicate, where + ": allowed_ips " + prefix.text() + " stands there twice");
  }
  return {};
}

Result<control::ReloadResult> Engine::reconfigure(Settings settings) {
  QUIPU_TRY(check(settings));
  PeerChanges changes = m_peers.plan(std::move(settings.peers), settings.config);
  m_plan = std::move(settings.plan);
  m_device.set_local_networks(m_plan.local_networks);
  const std::vector<std::string> renewed = m_keys.set_sources(std::move(settings.kms));
  control::ReloadResult result = apply(std::move(changes));
  m_device.leave_protected_endpoints();
  for (const std::string& kms : renewed)
    result.changed.push_back("kms." + kms + " (certificates)");
  m_alarm_at = net::Loop::now();
  m_alarm.set(*m_alarm_at);
  return result;
}

// Removals first, so that their prefixes are free. A prefix may also move between two peers that both stay: whoever
// gives one up comes before whoever gets it, and where two change places, one of them is made anew. What was checked
// as a whole cannot fail otherwise.
control::ReloadResult Engine::apply(PeerChanges changes) {
  control::ReloadResult result;
  const std::set<protocol::PeerId> in_session = peers_with_session(m_device);
  for (const protocol::PeerId id : changes.removed) {
    result.removed.push_back(m_peers.name_of(id));
    m_names.forget(id);
    remove_peer(id);
  }
  std::vector<protocol::PeerId> changed;
  changed.reserve(changes.changed.size());
  for (const TablePeer& peer : changes.changed)
    changed.push_back(peer.id);
  for (std::size_t left = changes.changed.size() + 1; !changes.changed.empty() && changes.changed.size() < left;) {
    left = changes.changed.size();
    std::erase_if(changes.changed, [&](TablePeer& peer) { return update_peer(peer).has_value(); });
  }
  for (const TablePeer& peer : changes.changed)
    remove_peer(peer.id);
  for (TablePeer& peer : changes.changed)
    add_peer(std::move(peer));
  for (TablePeer& peer : changes.added) {
    result.added.push_back(peer.settings.config.name);
    add_peer(std::move(peer));
  }
  const std::set<protocol::PeerId> still_in_session = peers_with_session(m_device);
  for (const protocol::PeerId id : changed) {
    const bool ended = in_session.contains(id) && !still_in_session.contains(id);
    result.changed.push_back(m_peers.name_of(id) + (ended ? " (session ended)" : ""));
  }
  join_replaced(result);
  return result;
}

void Engine::remove_peer(protocol::PeerId id) {
  const auto removed = m_device.remove_peer(id, net::Loop::now(), m_actions);
  QUIPU_ASSERT(removed.has_value());
  m_peers.remove(id);
}

void Engine::add_peer(TablePeer peer) {
  const auto added = m_device.add_peer(to_protocol(peer.settings, peer.policy, peer.id), net::Loop::now());
  QUIPU_ASSERT(added.has_value());
  look_up_endpoint(peer);
  m_peers.put(std::move(peer));
}

// `peer` is taken only on success. Errc::duplicate: another peer still has a prefix that this one gets.
Result<void> Engine::update_peer(TablePeer& peer) {
  const auto updated =
      m_device.update_peer(to_protocol(peer.settings, peer.policy, peer.id), net::Loop::now(), m_actions);
  QUIPU_ASSERT(updated.has_value() || updated.error().code == Errc::duplicate);
  if (!updated) return updated;
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
