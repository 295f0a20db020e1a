// SPDX-License-Identifier: Apache-2.0
// What enc_keys is asked for, and the keys that are cut for it.
#pragma once

#include <map>
#include <vector>

#include "base/ids.h"
#include "base/secret.h"
#include "kms/records.h"

namespace quipu::kms {

// Keys wanted together.
struct Demand {
  std::uint32_t number = 0;
  std::uint32_t size_bits = 0;

  std::uint32_t slots_per_key() const { return (size_bits + 8 * kSlotSize - 1) / (8 * kSlotSize); }

  std::uint32_t slots() const { return number * slots_per_key(); }
};

// One enc_keys call that was found in order.
struct KeyOrder {
  SaeId master;
  std::vector<SaeId> slaves;                    // of the target KME, from whose pool the keys are cut
  std::map<KmeId, std::vector<SaeId>> further;  // slaves of other KMEs, to which the keys are transferred
  Demand demand;
};

// A key cut out of a lease: `slots` slots from `slot` on, of which it takes the first octets.
struct CarvedKey {
  LeaseId lease;
  std::uint16_t slot = 0;
  std::uint16_t slots = 0;
  Uuid key_id;
  SecretBytes key;
};

}  // namespace quipu::kms
