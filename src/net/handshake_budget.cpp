// SPDX-License-Identifier: Apache-2.0
#include "net/handshake_budget.h"

#include <algorithm>

namespace quipu::net {

bool HandshakeBudget::take(const IpAddress& from, TimePoint now) {
  if (from.is_loopback()) return true;
  const bool known = is_known(from);
  const IpAddress sender = known ? from : sender_of(from);
  Senders& senders = known ? m_known : m_strangers;
  const HandshakeRate& rate = known ? m_limits.known : m_limits.stranger;
  auto found = senders.find(sender);
  if (found == senders.end()) {
    forget_one(senders, now);
    found = senders.emplace(sender, now).first;
  }
  const TimePoint next = std::max(found->second, now) + rate.interval;
  if (next > now + rate.burst * rate.interval) return false;
  found->second = next;
  return true;
}

void HandshakeBudget::know(const IpAddress& from, TimePoint now) {
  if (is_known(from)) return;
  forget_one(m_known, now);
  m_known.emplace(from, now);
}

// Whoever floods has the latest time, and is not forgotten for it.
void HandshakeBudget::forget_one(Senders& senders, TimePoint now) const {
  if (senders.size() < m_limits.max_senders) return;
  if (&senders == &m_strangers) std::erase_if(senders, [&](const auto& one) { return one.second <= now; });
  if (senders.size() < m_limits.max_senders) return;
  senders.erase(std::ranges::min_element(senders, {}, &Senders::value_type::second));
}

}  // namespace quipu::net
