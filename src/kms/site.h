// SPDX-License-Identifier: Apache-2.0
// What all parts of one KME share during a call: who we are, the time, and the list of actions.
#pragma once

#include <utility>

#include "crypto/rng.h"
#include "kms/kme.h"
#include "kms/multicast_events.h"
#include "kms/relay/relay_events.h"
#include "kms/sae_quotas.h"
#include "kms/sae_rates.h"

namespace quipu::kms {

struct Site {
  KmeConfig config;
  crypto::Rng& rng;
  InstanceId instance;  // of this run
  TimePoint now;
  WallTime wall;  // as last told
  SaeRates rates;
  SaeQuotas quotas{};
  Actions actions{};
  std::vector<RelayEvent> relay_events{};  // of this call, for the relay
  std::vector<MulticastEvent> multicast_events{};

  template <class A>
  void act(A action) {
    actions.emplace_back(std::move(action));
  }

  void report(LogLevel level, std::string_view event, std::string_view message, std::vector<LogField> fields) {
    act(Report{level, false, event, message, std::move(fields)});
  }

  void alarm(std::string_view event, std::string_view message, std::vector<LogField> fields) {
    act(Report{LogLevel::error, true, event, message, std::move(fields)});
  }

  Uuid random_uuid() {
    std::array<std::uint8_t, 16> octets{};
    rng.fill(octets);
    return Uuid::from_random(octets);
  }
};

}  // namespace quipu::kms
