// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/time.h"
#include "options.h"

namespace quipu::sim {

// The figures of a simulated link as functions of time, and the pace of its blocks. QBER swings by 5 % of its mean over
// 20 minutes; SKR follows it as 1 - 2 h(QBER), the asymptotic rate of BB84, scaled to the configured mean. No random
// numbers: the same times give the same figures. No real device behaves so simply: this is for trying things out, not
// for planning.
class LinkModel {
 public:
  LinkModel(const SimOptions& options, TimePoint start);

  double qber(TimePoint now) const;
  double skr_bit_s(TimePoint now) const;

  // No key can be had from what is left of the photons.
  bool aborted(TimePoint now) const { return skr_bit_s(now) <= 0; }

  // An eavesdropper intercepts and resends this share of the pulses, 0 to 1.
  void set_intercepted(double fraction) { m_intercepted = fraction; }

  // Key accrues while the link runs: to be called when it starts or stops to, and before take_block. The first block
  // comes when the initial stock or the rate allows.
  void advance(TimePoint now, bool running);
  // Whether a block of so many octets has accrued; if so it is taken.
  bool take_block(std::size_t octets);
  // When it will have, if the link runs on; never later than a second from now, since the rate drifts.
  TimePoint next_block(TimePoint now, std::size_t octets) const;

 private:
  SimOptions m_options;
  TimePoint m_start;
  TimePoint m_advanced;
  bool m_running = false;
  double m_intercepted = 0;
  double m_initial_bits;  // not taken yet; not limited as what accrues is
  double m_bits = 0;
};

}  // namespace quipu::sim
