// SPDX-License-Identifier: Apache-2.0
// What every KME of the network says of its links: the newest state of each origin, as flooded over the KM links. Like
// OSPF's link-state database (RFC 2328 section 13): the higher sequence wins, of each origin at most one a second is
// taken, a restarted origin that hears an old state of its own goes beyond it, and a state that is not refreshed is
// dropped everywhere at once, for its age goes with it.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "kms/link_message.h"

namespace quipu::kms {

// Between two states of one origin: what comes sooner waits, and only the newest of it is taken then.
inline constexpr Duration kStateInterval = std::chrono::seconds(1);
inline constexpr Duration kStateRefresh = std::chrono::seconds(20);
inline constexpr Duration kStateLifetime = std::chrono::seconds(wire::kMaxStateAge);
inline constexpr std::size_t kMaxOrigins = 256;

class LinkStates {
 public:
  explicit LinkStates(KmeId own) : m_own(std::move(own)) {}

  enum class Reception {
    newer,    // to be flooded to all other peers
    waiting,  // for its second: take_waiting() gives it
    same,
    older,    // the sender wants ours
    own_old,  // of an earlier run of this KME: to be published again
    forged,   // in this KME's name
    no_room,  // or too old
  };

  Reception receive(const wire::LinkState& state, TimePoint now);
  // Origins whose waiting state counts from now on: to be flooded.
  std::vector<KmeId> take_waiting(TimePoint now);
  // This KME's own state, with the next sequence. To be flooded to all peers.
  void publish(bool trusted_node, std::vector<wire::Neighbour> neighbours, TimePoint now);
  // Drops what was not refreshed.
  void age(TimePoint now);
  // When take_waiting() has something.
  std::optional<TimePoint> next_deadline() const;

  // Without its age; nullptr when nothing is known of it.
  const wire::LinkState* find(const KmeId& origin) const;
  // As it is sent.
  std::optional<wire::LinkState> aged(const KmeId& origin, TimePoint now) const;
  std::vector<KmeId> origins() const;

  std::size_t count() const { return m_states.size(); }

  // Changes whenever a state does.
  std::uint64_t version() const { return m_version; }

 private:
  struct Dated {
    wire::LinkState state;  // without its age
    TimePoint published;    // by its origin
  };

  struct Entry {
    Dated current;
    TimePoint taken;
    std::optional<Dated> waiting;
  };

  void take(Entry& entry, Dated state, TimePoint now);

  KmeId m_own;
  std::uint64_t m_sequence = 0;  // of the own state, as last published or heard
  std::uint64_t m_version = 0;
  std::map<KmeId, Entry> m_states;
};

}  // namespace quipu::kms
