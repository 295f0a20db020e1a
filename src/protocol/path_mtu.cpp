// SPDX-License-Identifier: Apache-2.0
#include "protocol/path_mtu.h"

#include <algorithm>

#include "protocol/keypair.h"
#include "protocol/timing.h"

namespace quipu::protocol {

static_assert(kBasePathMtu + kDataOverhead + 8 + 40 == 1280);

PathMtu::PathMtu(std::size_t wanted)
    : m_wanted(wanted), m_base(std::min(wanted, kBasePathMtu)), m_limit(wanted), m_too_big(wanted + 1) {}

void PathMtu::begin(TimePoint now) {
  m_raise_at = now;
  probe(Goal::confirm, m_limit, now);
}

std::optional<PathMtu::Probe> PathMtu::advance(TimePoint now, Duration wait) {
  if (now < m_due) return std::nullopt;
  if (m_goal == Goal::rest)
    probe(Goal::confirm, m_limit, now);
  else if (m_sent == kPathProbes)
    lost(now);
  if (m_goal == Goal::rest) return std::nullopt;
  ++m_sent;
  m_due = now + wait;
  return m_probe;
}

void PathMtu::answered(std::uint32_t id, TimePoint now) {
  if (m_goal == Goal::rest || id != m_probe.id || m_sent == 0) return;
  if (m_goal == Goal::confirm) {
    confirmed(now);
    return;
  }
  m_limit = m_probe.size;
  if (m_goal == Goal::base)
    search(now);
  else
    step(now);
}

void PathMtu::probe(Goal goal, std::size_t size, TimePoint now) {
  m_goal = goal;
  m_probe = {m_probe.id + 1, size};
  m_sent = 0;
  m_due = now;
}

void PathMtu::lost(TimePoint now) {
  if (m_goal == Goal::search) {
    m_too_big = m_probe.size;
    step(now);
  } else if (m_goal == Goal::confirm && m_limit > m_base) {
    probe(Goal::base, m_base, now);
  } else {
    rest(now);
  }
}

void PathMtu::confirmed(TimePoint now) {
  if (m_limit < m_wanted && now >= m_raise_at)
    search(now);
  else
    rest(now);
}

// With the wanted size first: a path that was only lossy for a while has its whole width again.
void PathMtu::search(TimePoint now) {
  m_too_big = m_wanted + 1;
  step(now);
}

void PathMtu::step(TimePoint now) {
  if (m_too_big > m_wanted && m_limit < m_wanted) {
    probe(Goal::search, m_wanted, now);
  } else if (m_too_big - m_limit > kPathMtuStep) {
    probe(Goal::search, m_limit + (m_too_big - m_limit) / 2, now);
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
