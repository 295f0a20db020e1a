// SPDX-License-Identifier: Apache-2.0
#include "kms/sae_rates.h"

#include <algorithm>

namespace quipu::kms {

SaeRates::SaeRates(const std::map<SaeId, std::uint64_t>& limits) {
  for (const auto& [sae, rate] : limits)
    m_accounts.emplace(sae, Account{.rate = static_cast<double>(rate)});
}

double SaeRates::Account::used_at(TimePoint now) const {
  const double passed = std::chrono::duration<double>(now - at).count();
  return std::max(0.0, used - std::max(0.0, passed) * rate);
}

bool SaeRates::may_ever(const SaeId& sae, std::uint64_t bits) const {
  const auto found = m_accounts.find(sae);
  return found == m_accounts.end() ||
         static_cast<double>(bits) <= found->second.rate * static_cast<double>(kBurst.count());
}

bool SaeRates::allows(const SaeId& sae, std::uint64_t bits, TimePoint now) const {
  const auto found = m_accounts.find(sae);
  if (found == m_accounts.end()) return true;
  const Account& account = found->second;
  return account.used_at(now) + static_cast<double>(bits) <= account.rate * static_cast<double>(kBurst.count());
}

void SaeRates::spend(const SaeId& sae, std::uint64_t bits, TimePoint now) {
  const auto found = m_accounts.find(sae);
  if (found == m_accounts.end()) return;
  Account& account = found->second;
  account.used = account.used_at(now) + static_cast<double>(bits);
  account.at = now;
}

}  // namespace quipu::kms
