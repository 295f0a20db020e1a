// SPDX-License-Identifier: Apache-2.0
// What the parts between this KME and one peer tell the relay, which works on several of them. Collected during a call,
// handled at its end.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "kms/link_message.h"

namespace quipu::kms {

struct ContactMade {
  KmeId peer;
};

struct ContactLost {
  KmeId peer;
};

struct LinkStateReceived {
  KmeId from;
  wire::LinkState state;
};

// The request is to be answered, now or later, while contact lasts.
struct RelayHopReceived {
  KmeId from;
  wire::RelayHop hop;
};

// To a hop that this KME sent.
struct RelayHopAnswered {
  KmeId by;
  BlockId relay;
  std::optional<wire::RefusalReason> refused;  // empty: it has it
};

struct RelayFailedReceived {
  KmeId from;
  wire::RelayFailed message;
};

// The destination has shown that it holds a block of this source: the same, then it is in stock; else it is void.
struct RelayEnded {
  KmeId destination;
  BlockId relay;
  bool relayed = false;
};

using RelayEvent = std::variant<ContactMade, ContactLost, LinkStateReceived, RelayHopReceived, RelayHopAnswered,
                                RelayFailedReceived, RelayEnded>;

}  // namespace quipu::kms
