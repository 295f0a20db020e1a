// SPDX-License-Identifier: Apache-2.0
// Figures of one pool, as `quipu status` shows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "kms/records.h"

namespace quipu::kms {

enum class LinkState : std::uint8_t {
  down,        // no connection
  contacting,  // connected, comparing inventories
  up,          // in contact: keys may be leased and handed out
  refused,     // this run or the peer's was refused (two copies of one KME): needs hands
};

std::string_view to_string(LinkState state);

// What a pool has in stock of one of the sources that its keys are combined from.
struct PartStatus {
  std::string source;
  std::uint64_t octets = 0;
};

struct PoolStatus {
  KmeId peer;
  LinkState link = LinkState::down;
  std::string link_reason;        // why it is not up; empty when it is, and before the first connection
  bool contacted = false;         // in this run
  bool serving = false;           // enc_keys and dec_keys are answered with keys
  bool simulated = false;         // some material that this run had in the pool came from a simulated device
  std::uint32_t min_sources = 1;  // that each key is combined from
  std::vector<PartStatus> parts;  // by name of the source; empty where keys are not combined
  Books books;                    // of material
  // Of key: the material of min_sources sources makes up as much key as there is of one.
  std::uint64_t stock_octets = 0;      // free to be leased by either end
  std::uint64_t leased_octets = 0;     // in leases that are open here, of either holder
  std::uint64_t stock_keys = 0;        // of the default size, stock only
  std::uint64_t leased_keys = 0;       // of the default size, ready in this run's own leases
  std::uint64_t delivered_keys = 0;    // handed out here in this run, whatever their size; a multicast key once per SAE
  std::uint64_t delivered_octets = 0;  // in those keys
  std::uint64_t burnt_octets = 0;      // of material: given up in this run, what its start found open included
  std::uint64_t refused_blocks = 0;    // by hygiene or for want of room, in this run
  std::uint64_t refused_requests = 0;  // of the peer, in this run
  std::uint64_t violations = 0;        // connections that the peer broke a rule on, in this run
  std::optional<double> oldest_age_s;  // of the oldest block in stock; absent when empty or the clock went back
  double production_bit_s = 0;         // averaged over about a minute: material that became usable
  double consumption_bit_s = 0;        // likewise: handed out here, and used as pads
  // stock / (consumption - production); absent while stock does not shrink, and in the first minute of the run
  std::optional<double> runway_s;
};

}  // namespace quipu::kms
