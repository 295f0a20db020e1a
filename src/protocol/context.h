// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include "crypto/rng.h"
#include "protocol/action.h"
#include "protocol/index_table.h"
#include "protocol/keypair.h"
#include "protocol/stamps.h"

namespace quipu::protocol {

// A question to a KMS, as far as it matters to whoever gets the answer when nobody waits for it any more.
struct KeyRequest {
  PeerId peer;
  std::uint8_t slot = 0;
  KeySource source;
};

// What all peers of a Device share.
struct Shared {
  Identity own;
  crypto::Rng& rng;
  IndexTable indices;
  StampSource stamps;
  KeyLimits key_limits;
  std::uint8_t lanes = 1;  // that this end has
  std::uint64_t last_request = 0;
  // The questions to the KMSs that are out.
  std::unordered_map<KeyRequestId, KeyRequest> requests;
  // Messages 1 whose keys are being asked for, over all peers.
  std::size_t answers_asking = 0;
};

// One event as a peer machine sees it: the present, and where its actions go.
struct Context {
  Shared& shared;
  TimePoint now;
  Actions& out;

  KeyRequestId next_request(KeyRequest request) const {
    const KeyRequestId id(++shared.last_request);
    shared.requests.emplace(id, std::move(request));
    return id;
  }
};

}  // namespace quipu::protocol
