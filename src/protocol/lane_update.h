// SPDX-License-Identifier: Apache-2.0
// What a Device tells its SideLanes. Nothing in it changes once it was told, but for what each lane has of its own: the
// keys of a Keypair, and its tally.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <variant>

#include "base/ip.h"
#include "protocol/allowed_ips.h"
#include "protocol/keypair.h"
#include "protocol/lane_tally.h"

namespace quipu::protocol {

// One peer as its lanes see it, in place of what they were told before.
struct PeerView {
  struct Keys {
    std::shared_ptr<Keypair> keypair;  // may be none
    TimePoint dies;

    bool operator==(const Keys&) const = default;
  };

  PeerId id;
  std::optional<Endpoint> endpoint;  // of the first lane
  std::size_t packet_limit = 0;      // octets
  std::array<Keys, 3> keys;          // to receive under: current, next and previous
  std::shared_ptr<LaneTallies> tallies;

  // To send under.
  const Keys& current() const { return keys[0]; }

  bool operator==(const PeerView&) const = default;
};

struct PeerGone {
  PeerId id;
};

using LaneUpdate = std::variant<PeerView, PeerGone, std::shared_ptr<const AllowedIps>>;

}  // namespace quipu::protocol
