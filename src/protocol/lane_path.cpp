// SPDX-License-Identifier: Apache-2.0
#include "protocol/lane_path.h"

#include <algorithm>

#include "protocol/timing.h"

namespace quipu::protocol {

std::optional<std::uint32_t> LanePath::advance(TimePoint now) {
  if (m_probing && now >= m_probing->ends) {
    m_probing.reset();
    m_carries = m_wanted = false;
    m_probe_at = now + kLaneRetry;
  }
  if (!m_probing && !m_wanted && now >= m_answered + kLaneForgotten) m_carries = false;
  if (!m_probing && m_wanted && now >= m_probe_at) {
    m_probing = Probing{.ends = now + kLaneDeadline, .next = now};
    ++m_id;
  }
  if (!m_probing || now < m_probing->next) return std::nullopt;
  m_probing->next = now + kLaneProbeWait;
  return m_id;
}

void LanePath::answered(std::uint32_t id, TimePoint now) {
  if (!m_probing || id != m_id) return;
  m_probing.reset();
  m_carries = true;
  m_wanted = false;
  m_answered = now;
  m_probe_at = now + kLaneConfirm;
}

std::optional<TimePoint> LanePath::next_deadline() const {
  if (m_probing) return std::min(m_probing->next, m_probing->ends);
  if (m_wanted) return m_probe_at;
  if (m_carries) return m_answered + kLaneForgotten;
  return std::nullopt;
}

}  // namespace quipu::protocol
