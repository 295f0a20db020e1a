// SPDX-License-Identifier: Apache-2.0
#include "daemon/peer_table.h"

#include <algorithm>

namespace quipu::daemon {

PeerChanges PeerTable::plan(std::vector<PeerSettings> peers, const config::QuipudConfig& config) {
  PeerChanges changes;
  std::vector<protocol::PeerId> kept;
  for (PeerSettings& peer : peers) {
    protocol::Policy policy = policy_of(peer.config, config);
    const auto old = std::ranges::find_if(
        m_peers, [&](const TablePeer& p) { return p.settings.config.public_key == peer.config.public_key; });
    if (old == m_peers.end()) {
      changes.added.push_back({protocol::PeerId(++m_last_id), std::move(peer), std::move(policy)});
      continue;
    }
    kept.push_back(old->id);
    const bool same = old->settings.config == peer.config && old->settings.psk == peer.psk && old->policy == policy;
    if (!same) changes.changed.push_back({old->id, std::move(peer), std::move(policy)});
  }
  for (const TablePeer& peer : m_peers)
    if (std::ranges::find(kept, peer.id) == kept.end()) changes.removed.push_back(peer.id);
  return changes;
}

void PeerTable::put(TablePeer peer) {
  const auto old = std::ranges::find(m_peers, peer.id, &TablePeer::id);
  if (old == m_peers.end())
    m_peers.push_back(std::move(peer));
  else
    *old = std::move(peer);
}

void PeerTable::remove(protocol::PeerId id) {
  std::erase_if(m_peers, [&](const TablePeer& peer) { return peer.id == id; });
}

const TablePeer* PeerTable::find(protocol::PeerId id) const {
  const auto found = std::ranges::find(m_peers, id, &TablePeer::id);
  return found == m_peers.end() ? nullptr : &*found;
}

const TablePeer* PeerTable::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(m_peers, [&](const TablePeer& peer) { return peer.settings.config.name == name; });
  return found == m_peers.end() ? nullptr : &*found;
}

std::string PeerTable::name_of(protocol::PeerId id) const {
  const TablePeer* peer = find(id);
  return peer == nullptr ? "?" : peer->settings.config.name;
}

}  // namespace quipu::daemon
