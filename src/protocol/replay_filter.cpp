// SPDX-License-Identifier: Apache-2.0
#include "protocol/replay_filter.h"

#include <algorithm>

#include "base/assert.h"

namespace quipu::protocol {

bool ReplayFilter::check(Counter counter) const {
  const std::uint64_t n = counter.value();
  if (n >= m_next) return true;
  if (m_next - n > kWindow) return false;
  return (m_seen[n / kWordBits % kWords] >> (n % kWordBits) & 1U) == 0;
}

void ReplayFilter::commit(Counter counter) {
  const std::uint64_t n = counter.value();
  QUIPU_ASSERT(check(counter) && n != UINT64_MAX);
  if (n >= m_next) {
    // The word of the highest counter so far is in use; those entered now hold counters that have left the window.
    const std::uint64_t in_use = m_next == 0 ? 0 : (m_next - 1) / kWordBits + 1;
    const std::uint64_t wanted = n / kWordBits + 1;
    for (std::uint64_t word = std::max(in_use, wanted > kWords ? wanted - kWords : 0); word < wanted; ++word)
      m_seen[word % kWords] = 0;
    m_next = n + 1;
  }
  m_seen[n / kWordBits % kWords] |= std::uint64_t{1} << (n % kWordBits);
}

}  // namespace quipu::protocol
