// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace quipu::protocol {

// Whether one lane gets through to one peer. A firewall may pass the first lane's port alone: a lane carries nothing
// before a probe on it was answered, and no longer than its probes are. One that nothing is sent on is not probed, and
// after a while no longer believed to carry anything.
class LanePath {
 public:
  // Whether packets may be sent.
  bool carries() const { return m_carries; }

  // A packet was to be sent, or was.
  void want() { m_wanted = true; }

  // The id of the probe that is to be sent now, if one is.
  std::optional<std::uint32_t> advance(TimePoint now);

  // Ids other than that of the present probe mean nothing.
  void answered(std::uint32_t id, TimePoint now);

  // Of the next advance().
  std::optional<TimePoint> next_deadline() const;

 private:
  struct Probing {
    TimePoint ends;
    TimePoint next;
  };

  bool m_carries = false;
  bool m_wanted = false;  // since it was last known whether it carries
  TimePoint m_answered{};
  TimePoint m_probe_at{};
  std::uint32_t m_id = 0;
  std::optional<Probing> m_probing;
};

}  // namespace quipu::protocol
