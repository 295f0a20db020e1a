// SPDX-License-Identifier: Apache-2.0
// Sees the hops of relayed blocks: no node but the two ends gets a second share of a block, a share stays what it is,
// and what the destination holds is the exclusive or of all shares. What breaks a rule fails the test at the watch's
// end, unless somebody took the violation.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kms/link_message.h"
#include "sim/kms/world.h"

namespace quipu::kms::sim {

class ShareWatch {
 public:
  // `world` knows the octets of the devices' blocks, and outlives this.
  explicit ShareWatch(const World& world) : m_world(world) {}

  ShareWatch(const ShareWatch&) = delete;
  ShareWatch& operator=(const ShareWatch&) = delete;
  ~ShareWatch();

  // From one KME, by name, to another.
  void sent(const std::string& from, const std::string& to, const SecretBytes& octets);

  const std::vector<std::string>& violations() const { return m_violations; }

  std::vector<std::string> take_violations() { return std::exchange(m_violations, {}); }

  // Blocks whose shares it has seen, each time that the destination said what it holds.
  std::size_t compared() const { return m_compared; }

 private:
  // As its shares go over the links, in clear.
  struct Shared {
    std::size_t count = 0;
    std::map<std::uint8_t, Bytes> shares;
    std::map<std::string, std::set<std::uint8_t>> seen;  // by node
  };

  void note(const std::string& from, const std::string& to, const wire::RelayHop& hop);
  void compare(const wire::OfferedBlock& held);
  Bytes pad_of(const wire::RelayHop& hop) const;

  const World& m_world;
  std::map<LeaseId, std::vector<Extent>> m_leases;
  std::map<BlockId, Shared> m_shared;
  std::vector<std::string> m_violations;
  std::size_t m_compared = 0;
};

}  // namespace quipu::kms::sim
