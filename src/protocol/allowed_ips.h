// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/ip.h"
#include "base/result.h"
#include "protocol/ids.h"

namespace quipu::protocol {

// Cryptokey routing: which peer owns an inner address. Longest prefix match on a path-compressed binary tree per
// family: at most one step per distinct prefix length on the path.
class AllowedIps {
 public:
  AllowedIps() = default;
  AllowedIps(const AllowedIps& other);
  AllowedIps& operator=(const AllowedIps&) = delete;

  // Errc::duplicate when another peer has this very prefix; host bits are masked away.
  Outcome<void> insert(const IpPrefix& prefix, PeerId peer);
  void remove(PeerId peer);
  // In place of those before: no peer owns an address whose longest prefix is one of these, whoever else has that
  // prefix.
  void set_local(std::span<const IpPrefix> networks);
  std::optional<PeerId> find(const IpAddress& address) const;
  // Whether a packet's source is the peer's. Errc::malformed (no IP packet), not_permitted.
  Outcome<void> check_source(ByteView packet, PeerId peer) const;

 private:
  struct Node {
    static std::unique_ptr<Node> copy(const Node* node);

    IpPrefix prefix;
    std::optional<PeerId> peer;
    bool local = false;
    std::unique_ptr<Node> child[2];

    bool is_fork() const { return !peer && !local; }
  };

  // The node of a prefix, made if need be. Its host bits are zero.
  Node& at(const IpPrefix& prefix);
  // Lets every node forget what it is to forget.
  void prune(const std::function<void(Node&)>& forget);
  static void prune(std::unique_ptr<Node>& node, const std::function<void(Node&)>& forget);

  std::unique_ptr<Node>& root(IpFamily family) { return family == IpFamily::v4 ? m_v4 : m_v6; }

  std::unique_ptr<Node> m_v4;
  std::unique_ptr<Node> m_v6;
};

}  // namespace quipu::protocol
