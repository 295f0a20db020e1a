// SPDX-License-Identifier: Apache-2.0
// Stamps order a Device's messages 1 without a clock: a counter that never goes back, not over a crash either.
#pragma once

#include <algorithm>
#include <optional>

#include "protocol/ids.h"
#include "protocol/timing.h"

namespace quipu::protocol {

// A stamp so high that the counter could end is a fault or an attack.
inline constexpr std::uint64_t kNoRoomForStamps = std::uint64_t{1} << 63;

// The initiator's side, one per Device. Stamps are only used from a range that is durably reserved; a crash loses the
// rest of the range.
class StampSource {
 public:
  // `end` of the last durable reservation: nothing below it is used again.
  explicit StampSource(Stamp end)
      : m_base(end.value()), m_next(end.value()), m_durable_end(end.value()), m_asked_end(end.value()) {}

  // Nothing while the range is used up: the next reservation must become durable first.
  std::optional<Stamp> take() {
    if (m_next >= m_durable_end) return std::nullopt;
    return Stamp(m_next++);
  }

  // The end of a range to make durable now, if one is needed and not asked for already. Asks when half of a range is
  // left, so that a running Device never waits.
  std::optional<Stamp> wanted() {
    if (m_next + kStampRange / 2 < m_asked_end) return std::nullopt;
    m_asked_end = m_next + kStampRange;
    return Stamp(m_asked_end);
  }

  void reserved(Stamp end) {
    if (end.value() > m_durable_end) m_durable_end = end.value();
  }

  // Whether a peer's word may move the counter above `highest`: however many peers say so, and whether or not a session
  // with them was ever confirmed, by kMaxToldStampJump in all. Otherwise one peer could move it so far that every other
  // one refuses us.
  bool may_jump_above(Stamp highest) const { return highest.value() < m_base + kMaxToldStampJump; }

  // The operator's word: the counter may jump above `highest`, and from there on as before. False when that leaves no
  // room.
  bool permit_jump_above(Stamp highest) {
    if (highest.value() >= kNoRoomForStamps) return false;
    m_base = std::max(m_base, highest.value());
    return true;
  }

  // All later stamps are above `highest`; they wait until that is durable.
  void jump_above(Stamp highest) {
    if (highest.value() < m_next) return;
    m_next = highest.value() + 1;
    m_asked_end = m_asked_end > m_next ? m_asked_end : m_next;
  }

 private:
  std::uint64_t m_base;  // where the counter stood when this run began
  std::uint64_t m_next;
  std::uint64_t m_durable_end;
  std::uint64_t m_asked_end;
};

// The far side's counter as one peer machine sees it: in memory only. Which messages 1 are fresh, and how far a stamp
// may jump.
class StampGuard {
 public:
  enum class Verdict { fresh, same_as_highest, stale, jump_too_far };

  Verdict compare(Stamp stamp) const {
    if (m_highest && stamp == *m_highest) return Verdict::same_as_highest;
    if (m_highest && stamp < *m_highest) return Verdict::stale;
    return may_jump_to(stamp) ? Verdict::fresh : Verdict::jump_too_far;
  }

  // 2^40 above the highest that a session confirmed in this run, or that the operator's word let through; without
  // either, anything that leaves room.
  bool may_jump_to(Stamp stamp) const {
    if (stamp.value() >= kNoRoomForStamps) return false;
    return m_permitted || is_near(stamp);
  }

  // Uses up the operator's word where nothing else lets it through.
  void store(Stamp stamp) {
    if (!is_near(stamp)) confirm(stamp);
    m_highest = stamp;
  }

  // A session made by this stamp was confirmed.
  void confirm(Stamp stamp) {
    if (!m_base || stamp > *m_base) m_base = stamp;
    m_permitted = false;
  }

  // The operator's word for one jump.
  void permit() { m_permitted = true; }

  std::optional<Stamp> highest() const { return m_highest; }

  // A stamp of it was confirmed: without one, what looks fresh may be a recording.
  bool knows_peer() const { return m_base.has_value(); }

 private:
  bool is_near(Stamp stamp) const { return !m_base || stamp.value() <= m_base->value() + kMaxStampJump; }

  std::optional<Stamp> m_highest;
  std::optional<Stamp> m_base;  // jumps are measured from here
  bool m_permitted = false;
};

}  // namespace quipu::protocol
