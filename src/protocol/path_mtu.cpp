// SPDX-License-Identifier: Apache-2.0
#include "protocol/path_mtu.h"

#include <algorithm>
#include <utility>

#include "protocol/keypair.h"

namespace quipu::protocol {

static_assert(kBasePathMtu + kDataOverhead + 8 + 40 == 1280);

PathMtu::PathMtu(std::size_t wanted)
    : m_wanted(wanted), m_base(std::min(wanted, kBasePathMtu)), m_limit(wanted), m_too_big(wanted + 1) {}

void PathMtu::begin(TimePoint now) {
  m_sent = {};
  m_wait = kPathProbeWait;
  m_raise_at = now;
  ask(Goal::confirm, m_limit, now);
}

std::optional<TimePoint> PathMtu::next_deadline() const {
  if (m_goal == Goal::rest && !m_used) return std::nullopt;
  return m_due;
}

std::optional<PathMtu::Probe> PathMtu::advance(TimePoint now) {
  const auto due = next_deadline();
  if (!due || now < *due) return std::nullopt;
  if (m_goal == Goal::rest)
    ask(Goal::confirm, m_limit, now);
  else if (std::exchange(m_waiting, false))
    unanswered(now);
  if (m_goal == Goal::rest) return std::nullopt;
  return send(now);
}

void PathMtu::answered(std::uint32_t id, TimePoint now) {
  const Sent& sent = m_sent[id % m_sent.size()];
  const std::size_t size = sent.probe.size;
  if (sent.probe.id != id || size == 0) return;
  m_wait = std::clamp<Duration>(2 * (now - sent.at), kPathProbeWait, kPathProbeWaitAtMost);
  m_limit = std::max(m_limit, size);
  if (m_goal == Goal::rest) return;
  if (size >= m_size)
    reached(now);
  else if (id == m_last_id)  // the base, sent after the last copy of m_size
    missed(now);
}

void PathMtu::ask(Goal goal, std::size_t size, TimePoint now) {
  if (goal == Goal::confirm) m_used = false;
  m_goal = goal;
  m_size = size;
  m_control = m_waiting = false;
  m_misses = m_silences = 0;
  m_due = now;
}

PathMtu::Probe PathMtu::send(TimePoint now) {
  m_waiting = true;
  m_due = now + m_wait;
  const Probe probe{++m_last_id, m_control ? m_base : m_size};
  m_sent[probe.id % m_sent.size()] = {probe, now};
  return probe;
}

// A search that ends here is due again as soon as the path is up.
void PathMtu::unanswered(TimePoint now) {
  if (!m_control && m_size > m_base) {
    m_control = true;
    return;
  }
  m_control = false;
  if (++m_silences == kPathProbes) rest(now);
}

// What is in use is given up later than what is only tried: a wide path that is taken for a narrow one costs more than
// a few packets.
void PathMtu::missed(TimePoint now) {
  m_control = m_waiting = false;
  m_silences = 0;
  m_due = now;
  if (++m_misses < (m_goal == Goal::confirm ? 2 * kPathProbes : kPathProbes)) return;
  if (m_goal == Goal::confirm) {
    m_limit = m_base;
    search(now);
  } else {
    m_too_big = m_size;
    step(now);
  }
}

void PathMtu::reached(TimePoint now) {
  if (m_goal == Goal::search)
    step(now);
  else if (m_limit < m_wanted && now >= m_raise_at)
    search(now);
  else
    rest(now);
}

// With the wanted size first: a path that was only lossy for a while has its whole width again.
void PathMtu::search(TimePoint now) {
  m_raise_at = now;  // until it has come to its end
  m_too_big = m_wanted + 1;
  step(now);
}

void PathMtu::step(TimePoint now) {
  if (m_too_big > m_wanted && m_limit < m_wanted) {
    ask(Goal::search, m_wanted, now);
  } else if (m_too_big > m_limit + kPathMtuStep) {
    ask(Goal::search, m_limit + (m_too_big - m_limit) / 2, now);
  } else {
    m_raise_at = now + kPathRaise;
    rest(now);
  }
}

void PathMtu::rest(TimePoint now) {
  m_goal = Goal::rest;
  m_due = now + kPathConfirm;
}

}  // namespace quipu::protocol
