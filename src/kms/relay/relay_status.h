// SPDX-License-Identifier: Apache-2.0
// Figures of the relay, as `quipu relay routes` shows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace quipu::kms {

// One link of a path, which has a number from 1 on, with the key that its first end could use towards the second.
struct RelayLinkStatus {
  KmeId from;
  KmeId to;
  std::uint32_t path = 1;
  std::uint64_t octets = 0;
  bool simulated = false;
};

// A pool that is fed by relay.
struct RelayRouteStatus {
  KmeId peer;
  bool source = false;                 // this end makes the blocks; else the peer does
  bool configured = false;             // the path is a static one
  std::uint32_t paths = 1;             // that each block takes, in as many shares
  std::uint32_t paths_found = 0;       // with enough key, none of whose nodes is on two; at most so many
  std::vector<RelayLinkStatus> links;  // of each path, from here to the peer; empty when there are not enough paths
  std::string missing;                 // in words, why there are not enough, when it is starved
  std::uint64_t target_octets = 0;
  std::uint64_t stock_octets = 0;
  std::uint64_t in_flight = 0;  // blocks of this source on their way
  std::uint64_t relayed = 0;    // blocks of this source in this run: taken by both ends
  std::uint64_t voided = 0;     // likewise: arrived with other octets than were sent
  std::uint64_t failed = 0;     // likewise: did not arrive
  std::string last_failure;     // in words; empty before the first
  bool failing = false;         // no block of this source has arrived since then
  bool starved = false;         // below the target, and no block has come for a while
};

enum class EntropyState : std::uint8_t {
  testing,  // the start-up test goes on, or waits for octets
  good,
  failed,  // a health test: until a restart
};

// A configured entropy source.
struct EntropyStatus {
  EntropyState state = EntropyState::testing;
  std::uint64_t used_octets = 0;   // in this run
  std::uint64_t ready_octets = 0;  // that have passed the tests and wait
};

struct RelayStatus {
  bool trusted_node = false;
  std::uint64_t forwarded = 0;  // blocks of others that the next KME has, in this run
  std::uint64_t refused = 0;    // hops that were refused here, in this run
  std::uint64_t forged = 0;     // of those, because their tag did not fit
  std::vector<RelayRouteStatus> routes;
  std::optional<EntropyStatus> entropy{};  // empty: the kernel's alone is configured
};

}  // namespace quipu::kms
