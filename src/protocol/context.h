// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include "crypto/rng.h"
#include "protocol/action.h"
#include "protocol/index_table.h"
#include "protocol/stamps.h"

namespace quipu::protocol {

// What all peers of a Device share.
struct Shared {
  Identity own;
  crypto::Rng& rng;
  IndexTable indices;
  StampSource stamps;
  std::uint64_t last_request = 0;
  // Whose questions to the KMSs are out.
  std::unordered_map<KeyRequestId, PeerId> requests;
  // Messages 1 whose keys are being asked for, over all peers.
  std::size_t answers_asking = 0;
};

// One event as a peer machine sees it: the present, and where its actions go.
struct Context {
  Shared& shared;
  TimePoint now;
  Actions& out;

  KeyRequestId next_request(PeerId peer) const {
    const KeyRequestId id(++shared.last_request);
    shared.requests.emplace(id, peer);
    return id;
  }
};

}  // namespace quipu::protocol
