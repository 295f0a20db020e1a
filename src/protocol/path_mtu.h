// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "protocol/timing.h"

namespace quipu::protocol {

// What every path is taken to carry: an IPv6 packet of 1280 octets (RFC 8200 section 5), less its header, that of UDP,
// and kDataOverhead. Octets of inner packet.
inline constexpr std::size_t kBasePathMtu = 1280 - 40 - 8 - 34;
// The search ends when no more octets than this are undecided.
inline constexpr std::size_t kPathMtuStep = 8;

// Finds the largest inner packet that gets through the path to one peer (RFC 8899, datagram packetization layer path
// MTU discovery), by probes: nobody's ICMP is believed. All sizes are octets of inner packet.
//
// That a probe is not answered says nothing of its size until a probe of the base, sent after it, is: the path may have
// been down just then, or the peer may answer no probes. Both together are a miss. So many misses lower the limit to
// the base, and fewer end a step of the search for more; while nothing is answered, nothing changes.
class PathMtu {
 public:
  struct Probe {
    std::uint32_t id = 0;
    std::size_t size = 0;
  };

  explicit PathMtu(std::size_t wanted);

  // The largest packet that is known to get through, or is not known not to.
  std::size_t limit() const { return m_limit; }

  // A packet was there for this path. What was confirmed since the last one is not confirmed again.
  void use() { m_used = true; }

  bool used() const { return m_used; }

  // The path may be another one: confirms the limit, and searches above it, at once.
  void begin(TimePoint now);

  // The probe that is to be sent now, if one is.
  std::optional<Probe> advance(TimePoint now);

  // Of one of the last probes since begin(), be it that another was sent since. Other ids mean nothing.
  void answered(std::uint32_t id, TimePoint now);

  // Of the next advance(); none while no packet is there for this path.
  std::optional<TimePoint> next_deadline() const;

 private:
  enum class Goal : std::uint8_t { rest, confirm, search };

  struct Sent {
    Probe probe;
    TimePoint at;
  };

  void ask(Goal goal, std::size_t size, TimePoint now);
  Probe send(TimePoint now);
  void unanswered(TimePoint now);
  void missed(TimePoint now);
  void reached(TimePoint now);
  void search(TimePoint now);
  void step(TimePoint now);
  void rest(TimePoint now);

  std::size_t m_wanted;
  std::size_t m_base;
  std::size_t m_limit;
  std::size_t m_too_big;  // of a search: the smallest size that was given up; above the wanted one when none was
  Goal m_goal = Goal::rest;
  std::size_t m_size = 0;  // that is asked for
  bool m_control = false;  // the present probe is of the base, since m_size was not answered
  bool m_waiting = false;  // the present probe was sent
  int m_misses = 0;        // of m_size
  int m_silences = 0;      // times in a row that not even the base was answered
  bool m_used = false;     // since the last confirmation began
  std::uint32_t m_last_id = 0;
  std::array<Sent, 8> m_sent{};  // by id: on a long path, an answer comes when others were sent
  Duration m_wait{kPathProbeWait};
  TimePoint m_due{};
  TimePoint m_raise_at{};  // of the next search
};

}  // namespace quipu::protocol
