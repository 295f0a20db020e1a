// SPDX-License-Identifier: Apache-2.0
#include "protocol/attempt.h"

#include <algorithm>

namespace quipu::protocol {

Duration random_duration(Duration limit, crypto::Rng& rng) {
  if (limit <= Duration::zero()) return {};
  std::array<std::uint8_t, 8> random{};
  rng.fill(random);
  return Duration(static_cast<Duration::rep>(ByteReader(random).u64() % static_cast<std::uint64_t>(limit.count() + 1)));
}

void Attempt::start(Initiation initiation, Stamp stamp, TimePoint now) {
  m_initiation.emplace(std::move(initiation));
  m_stamp = stamp;
  m_first_sent = now;
  m_next_send = now;
}

void Attempt::transmitted(TimePoint now, crypto::Rng& rng) {
  ++m_transmissions;
  m_next_send = now + m_wait + random_duration(m_wait / kRepetitionJitterDivisor, rng);
  m_wait = std::min(m_wait * 2, kLastRepetition);
}

std::optional<TimePoint> Attempt::next_deadline() const {
  if (sent()) return std::min(m_next_send, deadline());
  return m_has_keys ? std::nullopt : m_fetch.next_deadline();
}

}  // namespace quipu::protocol
