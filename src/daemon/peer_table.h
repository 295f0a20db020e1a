// SPDX-License-Identifier: Apache-2.0
// The configured peers by every name that they go by.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "daemon/settings.h"

namespace quipu::daemon {

struct TablePeer {
  protocol::PeerId id;
  PeerSettings settings;
  protocol::Policy policy;
};

// What a new configuration does to the peers, who are told apart by public key.
struct PeerChanges {
  std::vector<TablePeer> added;  // with new ids
  std::vector<TablePeer> changed;
  std::vector<protocol::PeerId> removed;
};

class PeerTable {
 public:
  // Nothing is changed yet. A peer is changed when anything about it is: its section of the file, the contents of its
  // pre-shared key's file, or what a KMS calls us.
  PeerChanges plan(std::vector<PeerSettings> peers, const config::QuipudConfig& config);
  // Puts a peer in, in place of the one with this id if there is one.
  void put(TablePeer peer);
  void remove(protocol::PeerId id);

  std::span<const TablePeer> peers() const { return m_peers; }

  const TablePeer* find(protocol::PeerId id) const;
  const TablePeer* find(std::string_view name) const;
  // For logs; "?" for a peer that has gone.
  std::string name_of(protocol::PeerId id) const;

 private:
  std::vector<TablePeer> m_peers;
  std::uint32_t m_last_id = 0;
};

}  // namespace quipu::daemon
