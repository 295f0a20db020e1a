// SPDX-License-Identifier: Apache-2.0
// Whether keys of a pool may be handed out: not before this run's first contact with the peer, not longer than a grace
// time after the peer was last heard in contact, never again once this run was refused.
#pragma once

#include <chrono>
#include <optional>

#include "base/time.h"

namespace quipu::kms {

inline constexpr Duration kServeWithoutLink = std::chrono::seconds(30);

class Availability {
 public:
  // Contact was made, or a message came while it lasts.
  void heard(TimePoint now) { m_heard = now; }

  void refuse() { m_refused = true; }

  bool contacted() const { return m_heard.has_value(); }

  bool refused() const { return m_refused; }

  bool serving(TimePoint now) const { return m_heard && !m_refused && now < *m_heard + kServeWithoutLink; }

  // When serving ends if nothing is heard any more; empty when it has not begun, or will not again.
  std::optional<TimePoint> ends() const {
    if (!m_heard || m_refused) return std::nullopt;
    return *m_heard + kServeWithoutLink;
  }

 private:
  bool m_refused = false;
  std::optional<TimePoint> m_heard;
};

}  // namespace quipu::kms
