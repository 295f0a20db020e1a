// SPDX-License-Identifier: Apache-2.0
// How many keys each SAE with a quota (max_unfetched_keys) has at each other KME that not all their slaves there have
// fetched: as that KME has told, and those that were given since. SAEs without one cost nothing.
#pragma once

#include <cstdint>
#include <map>

#include "base/ids.h"

namespace quipu::kms {

class SaeQuotas {
 public:
  SaeQuotas() = default;
  // Keys, at least 1; an SAE that is not named has no limit.
  explicit SaeQuotas(const std::map<SaeId, std::uint32_t>& limits);

  bool limits(const SaeId& sae) const { return m_accounts.contains(sae); }

  // Whether it may ever have so many keys at once.
  bool may_ever(const SaeId& sae, std::uint32_t keys) const;
  // Whether it may have so many more at that KME now.
  bool allows(const SaeId& sae, const KmeId& at, std::uint32_t keys) const;

  // They are on their way to that KME, which does not count them yet.
  void give(const SaeId& sae, const KmeId& at, std::uint32_t keys);
  // They are not any more: that KME counts them, or will never get them.
  void settle(const SaeId& sae, const KmeId& at, std::uint32_t keys);
  // That KME holds them: it counts them when it tells its count for the next time.
  void hold(const SaeId& sae, const KmeId& at, std::uint32_t keys);
  // What that KME tells.
  void told(const SaeId& sae, const KmeId& at, std::uint32_t keys);
  // Its run has ended, and with it all that it held.
  void restarted(const KmeId& at);

 private:
  struct Count {
    std::uint32_t told = 0;
    std::uint32_t held = 0;  // not told yet
    std::uint32_t on_their_way = 0;
  };

  struct Account {
    std::uint32_t limit = 0;
    std::map<KmeId, Count> counts;
  };

  Count* find(const SaeId& sae, const KmeId& at);

  std::map<SaeId, Account> m_accounts;
};

}  // namespace quipu::kms
