// SPDX-License-Identifier: Apache-2.0
#include "protocol/sender_limits.h"

namespace quipu::protocol {

TokenBucket* SenderLimits::bucket_of(const IpAddress& from, TimePoint now) {
  const IpAddress sender = sender_of(from);
  if (const auto known = m_senders.find(sender); known != m_senders.end()) return &known->second;
  if (m_senders.size() >= kMaxStrangers && now - m_cleaned >= 1s) {
    m_cleaned = now;
    std::erase_if(m_senders, [&](const auto& entry) { return entry.second.full(now); });
  }
  if (m_senders.size() >= kMaxStrangers) return nullptr;
  return &m_senders.emplace(sender, TokenBucket(kSenderInterval, kSenderBurst)).first->second;
}

bool SenderLimits::take(const IpAddress& from, TimePoint now) {
  TokenBucket* own = bucket_of(from, now);
  return own != nullptr && own->take(now) && m_all.take(now);
}

}  // namespace quipu::protocol
