// SPDX-License-Identifier: Apache-2.0
#include "kms/sae_quotas.h"

#include "base/assert.h"

namespace quipu::kms {

SaeQuotas::SaeQuotas(const std::map<SaeId, std::uint32_t>& limits) {
  for (const auto& [sae, limit] : limits)
    m_accounts[sae].limit = limit;
}

bool SaeQuotas::may_ever(const SaeId& sae, std::uint32_t keys) const {
  const auto account = m_accounts.find(sae);
  return account == m_accounts.end() || keys <= account->second.limit;
}

bool SaeQuotas::allows(const SaeId& sae, const KmeId& at, std::uint32_t keys) const {
  const auto account = m_accounts.find(sae);
  if (account == m_accounts.end()) return true;
  const auto found = account->second.counts.find(at);
  const Count count = found == account->second.counts.end() ? Count{} : found->second;
  return std::uint64_t{count.told} + count.held + count.on_their_way + keys <= account->second.limit;
}

SaeQuotas::Count* SaeQuotas::find(const SaeId& sae, const KmeId& at) {
  const auto account = m_accounts.find(sae);
  return account == m_accounts.end() ? nullptr : &account->second.counts[at];
}

void SaeQuotas::give(const SaeId& sae, const KmeId& at, std::uint32_t keys) {
  if (Count* count = find(sae, at)) count->on_their_way += keys;
}

void SaeQuotas::settle(const SaeId& sae, const KmeId& at, std::uint32_t keys) {
  Count* count = find(sae, at);
  if (count == nullptr) return;
  QUIPU_ASSERT(count->on_their_way >= keys);
  count->on_their_way -= keys;
}

void SaeQuotas::hold(const SaeId& sae, const KmeId& at, std::uint32_t keys) {
  settle(sae, at, keys);
  if (Count* count = find(sae, at)) count->held += keys;
}

void SaeQuotas::told(const SaeId& sae, const KmeId& at, std::uint32_t keys) {
  Count* count = find(sae, at);
  if (count == nullptr) return;
  count->told = keys;
  count->held = 0;
}

void SaeQuotas::restarted(const KmeId& at) {
  for (auto& [sae, account] : m_accounts)
    told(sae, at, 0);
}

}  // namespace quipu::kms
