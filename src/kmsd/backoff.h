// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/rng.h"

namespace quipu::kmsd {

// How long to wait before a peer is dialled again. One that restarts, or whose line breaks, is usually back at once,
// however often that happens; one that is down for the day, or hangs up on us as soon as it has answered or made
// contact, should neither be hammered nor fill its log and ours.
class Backoff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(100);
  static constexpr Duration kLongest = std::chrono::seconds(10);
  // Contact that lasted so long was good: what ended it has nothing to do with what ended the connections before.
  static constexpr Duration kGoodContact = std::chrono::seconds(1);

  void contact_made(TimePoint now) { m_contact = now; }

  // A connection has ended, or could not be had. Half of the delay is random: peers that lost us at the same time do
  // not all come back at the same time.
  Duration next(TimePoint now, crypto::Rng& rng) {
    const auto contact = std::exchange(m_contact, std::nullopt);
    if (contact && now - *contact >= kGoodContact) m_delay = kFirst;
    const Duration longest = std::exchange(m_delay, std::min(m_delay * 2, kLongest));
    std::array<std::uint8_t, 2> random{};
    rng.fill(random);
    return longest - longest / 2 * ByteReader(random).u16() / UINT16_MAX;
  }

 private:
  Duration m_delay = kFirst;
  std::optional<TimePoint> m_contact;  // since then
};

}  // namespace quipu::kmsd
