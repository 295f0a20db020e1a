// SPDX-License-Identifier: Apache-2.0
// Whether keys of a pool may be handed out: not before this run's first contact with the peer, not longer than a grace
// time after contact was lost, never again once this run was refused.
#pragma once

#include <chrono>
#include <optional>

#include "base/time.h"

namespace quipu::kms {

inline constexpr Duration kServeWithoutLink = std::chrono::seconds(30);

class Availability {
 public:
  void contact() {
    m_contacted = true;
    m_lost.reset();
  }

  void lost(TimePoint now) {
    if (m_contacted && !m_lost) m_lost = now;
  }

  void refuse() { m_refused = true; }

  bool contacted() const { return m_contacted; }

  bool refused() const { return m_refused; }

  bool serving(TimePoint now) const {
    return m_contacted && !m_refused && (!m_lost || now < *m_lost + kServeWithoutLink);
  }

  // When serving ends if nothing changes.
  std::optional<TimePoint> ends() const {
    if (!m_lost) return std::nullopt;
    return *m_lost + kServeWithoutLink;
  }

 private:
  bool m_contacted = false;
  bool m_refused = false;
  std::optional<TimePoint> m_lost;
};

}  // namespace quipu::kms
