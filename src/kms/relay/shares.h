// SPDX-License-Identifier: Apache-2.0
// The shares of relayed blocks at their destination, each over a path of its own: in locked memory, and no longer than
// a trusted node may have a block, until all of a block have come.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "kms/site.h"

namespace quipu::kms {

// From the arrival of a block, or of its first share.
inline constexpr Duration kCarryTime = std::chrono::seconds(5);

// `out` becomes the exclusive or of both, which are of one length.
void xor_into(MutableBytes out, ByteView in);

class Shares {
 public:
  explicit Shares(Site& site) : m_site(site) {}

  // To those of its block that have come: it is another one of as many, and as long. True of a first one.
  bool fits(const wire::RelayHop& hop) const;

  bool is_first(const wire::RelayHop& hop) const { return hop.shares > 1 && !m_incomplete.contains(hop.relay); }

  // A share that fits. The block, when it was the last one.
  std::optional<SourceBlock> add(const wire::RelayHop& hop, SecretBytes share);

  // Erases what has waited too long.
  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;

  // Blocks of that source of which some share has not come.
  std::size_t count(const KmeId& source) const;

 private:
  struct Incomplete {
    KmeId source;
    SecretBytes sum;  // exclusive or of what came
    std::uint8_t shares = 0;
    std::set<std::uint8_t> came;
    bool simulated = false;
    TimePoint due;
  };

  Site& m_site;
  std::map<BlockId, Incomplete> m_incomplete;
};

}  // namespace quipu::kms
