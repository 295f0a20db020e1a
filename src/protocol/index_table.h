// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <unordered_map>

#include "crypto/rng.h"
#include "protocol/ids.h"

namespace quipu::protocol {

// Which peer a receiver index of ours belongs to: attempts and keypairs alike.
class IndexTable {
 public:
  // An index that nobody has, unguessable.
  SessionIndex allocate(PeerId peer, crypto::Rng& rng) {
    for (;;) {
      std::array<std::uint8_t, 4> random{};
      rng.fill(random);
      const SessionIndex index(ByteReader(random).u32());
      if (m_peers.try_emplace(index, peer).second) return index;
    }
  }

  void release(SessionIndex index) { m_peers.erase(index); }

  std::optional<PeerId> find(SessionIndex index) const {
    const auto found = m_peers.find(index);
    if (found == m_peers.end()) return std::nullopt;
    return found->second;
  }

  std::size_t size() const { return m_peers.size(); }

 private:
  std::unordered_map<SessionIndex, PeerId> m_peers;
};

}  // namespace quipu::protocol
