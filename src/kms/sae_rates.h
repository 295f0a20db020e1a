// SPDX-License-Identifier: Apache-2.0
// How fast each SAE may draw keys by enc_keys: so many bits a second in the long run, and ten seconds of that at once.
#pragma once

#include <cstdint>
#include <map>

#include "base/ids.h"
#include "base/time.h"

namespace quipu::kms {

class SaeRates {
 public:
  static constexpr std::chrono::seconds kBurst{10};

  SaeRates() = default;
  // Bits a second, at least 1; an SAE that is not named has no limit.
  explicit SaeRates(const std::map<SaeId, std::uint64_t>& limits);

  // Whether it may ever have so many bits at once: no more than a burst.
  bool may_ever(const SaeId& sae, std::uint64_t bits) const;
  // Whether it may have them now.
  bool allows(const SaeId& sae, std::uint64_t bits, TimePoint now) const;
  // It was given them.
  void spend(const SaeId& sae, std::uint64_t bits, TimePoint now);

 private:
  struct Account {
    double rate = 0;  // bits a second
    double used = 0;  // of the burst, at `at`
    TimePoint at{};

    double used_at(TimePoint now) const;
  };

  std::map<SaeId, Account> m_accounts;
};

}  // namespace quipu::kms
