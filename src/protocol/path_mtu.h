// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace quipu::protocol {

// What every path is taken to carry: an IPv6 packet of 1280 octets (RFC 8200 section 5), less its header, that of UDP,
// and kDataOverhead. Octets of inner packet.
inline constexpr std::size_t kBasePathMtu = 1280 - 40 - 8 - 34;
// The search ends when no more octets than this are undecided.
inline constexpr std::size_t kPathMtuStep = 8;

// Finds the largest inner packet that gets through the path to one peer (RFC 8899, datagram packetization layer path
// MTU discovery), by probes: nobody's ICMP is believed. All sizes are octets of inner packet.
//
// The wanted size is taken for good until three probes of it went without an answer. A probe of the base then tells a
// narrow path from one that is down, or from a peer that answers no probes: only where the base is answered does the
// limit fall, to the base, and rise with each larger probe that is answered.
class PathMtu {
 public:
  struct Probe {
    std::uint32_t id = 0;
    std::size_t size = 0;
  };

  explicit PathMtu(std::size_t wanted);

  // The largest packet that is known to get through, or is not known not to.
  std::size_t limit() const { return m_limit; }

  // The path may be another one: confirms the limit, and searches above it, at once.
  void begin(TimePoint now);

  // The probe that is to be sent now, if one is. It is lost when nothing has come `wait` later.
  std::optional<Probe> advance(TimePoint now, Duration wait);

  // Ids other than that of the present probe mean nothing.
  void answered(std::uint32_t id, TimePoint now);

  // Of the next advance().
  TimePoint next_deadline() const { return m_due; }

 private:
  enum class Goal : std::uint8_t { rest, confirm, base, search };

  void probe(Goal goal, std::size_t size, TimePoint now);
  void lost(TimePoint now);
  void confirmed(TimePoint now);
  void search(TimePoint now);
  void step(TimePoint now);
  void rest(TimePoint now);

  std::size_t m_wanted;
  std::size_t m_base;
  std::size_t m_limit;
  std::size_t m_too_big;  // of a search: the smallest size that was not answered; above the wanted one when none was
  Goal m_goal = Goal::rest;
  Probe m_probe;
  int m_sent = 0;  // copies of the probe
  TimePoint m_due{};
  TimePoint m_raise_at{};
};

}  // namespace quipu::protocol
