// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "base/ip.h"
#include "base/result.h"
#include "protocol/ids.h"

namespace quipu::protocol {

// Cryptokey routing: which peer owns an inner address. Longest prefix match on a path-compressed binary tree per
// family: at most one step per distinct prefix length on the path.
class AllowedIps {
 public:
  // Errc::duplicate when another peer has this very prefix; host bits are masked away.
  Outcome<void> insert(const IpPrefix& prefix, PeerId peer);
  void remove(PeerId peer);
  std::optional<PeerId> find(const IpAddress& address) const;

 private:
  struct Node {
    IpPrefix prefix;
    std::optional<PeerId> peer;  // none for a fork
    std::unique_ptr<Node> child[2];
  };

  static void prune(std::unique_ptr<Node>& node, PeerId peer);

  std::unique_ptr<Node>& root(IpFamily family) { return family == IpFamily::v4 ? m_v4 : m_v6; }

  std::unique_ptr<Node> m_v4;
  std::unique_ptr<Node> m_v6;
};

}  // namespace quipu::protocol
