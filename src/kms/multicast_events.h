// SPDX-License-Identifier: Apache-2.0
// What the parts between this KME and one peer tell multicast, which works on several of them. Collected during a call,
// handled at its end.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "kms/actions.h"
#include "kms/key_order.h"
#include "kms/link_message.h"

namespace quipu::kms {

// Keys for slaves at further KMEs too, cut and not bound yet.
struct KeysCarved {
  KmeId target;
  RequestId request;
  KeyOrder order;
  std::vector<CarvedKey> keys;
};

// To a transfer that this KME sent.
struct KeyTransferAnswered {
  wire::TransferId transfer;
  std::optional<wire::RefusalReason> refused;  // empty: the peer holds the keys
};

using MulticastEvent = std::variant<KeysCarved, KeyTransferAnswered>;

}  // namespace quipu::kms
