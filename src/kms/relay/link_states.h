// SPDX-License-Identifier: Apache-2.0
// What every KME of the network says of its links: the newest state of each origin, as flooded over the KM links. Like
// OSPF's link-state database (RFC 2328 section 13): the higher sequence wins, a restarted origin that hears an old
// state of its own goes beyond it, and a state that is not refreshed is dropped.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "kms/link_message.h"

namespace quipu::kms {

inline constexpr Duration kStateRefresh = std::chrono::seconds(20);
inline constexpr Duration kStateLifetime = std::chrono::seconds(60);
inline constexpr std::size_t kMaxOrigins = 256;

class LinkStates {
 public:
  explicit LinkStates(KmeId own) : m_own(std::move(own)) {}

  enum class Reception {
    newer,  // to be flooded to all other peers
    same,
    older,    // the sender wants ours
    own_old,  // of an earlier run of this KME: to be published again
    no_room,
  };

  Reception receive(const wire::LinkState& state, TimePoint now);
  // This KME's own state, with the next sequence. To be flooded to all peers.
  const wire::LinkState& publish(bool trusted_node, std::vector<wire::Neighbour> neighbours, TimePoint now);
  // Drops what was not refreshed.
  void age(TimePoint now);

  const wire::LinkState* find(const KmeId& origin) const;
  std::vector<wire::LinkState> all() const;

 private:
  struct Entry {
    wire::LinkState state;
    TimePoint heard;
  };

  KmeId m_own;
  std::uint64_t m_sequence = 0;  // of the own state, as last published or heard
  std::map<KmeId, Entry> m_states;
};

}  // namespace quipu::kms
