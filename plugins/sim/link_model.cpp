// SPDX-License-Identifier: Apache-2.0
#include "link_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace quipu::sim {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kDriftPeriod{1200};
constexpr double kDriftShare = 0.05;
constexpr Seconds kLongestWait{1};

double binary_entropy(double p) {
  if (p <= 0 || p >= 1) return 0;
  return -p * std::log2(p) - (1 - p) * std::log2(1 - p);
}

// Secret bits per sifted bit, BB84 with perfect reconciliation and infinite blocks.
double secret_share(double qber) {
  return qber >= 0.5 ? 0 : std::max(0.0, 1 - 2 * binary_entropy(qber));
}

}  // namespace

LinkModel::LinkModel(const SimOptions& options, TimePoint start)
    : m_options(options), m_start(start), m_advanced(start), m_initial_bits(options.initial_bits) {}

double LinkModel::qber(TimePoint now) const {
  const double phase = 2 * std::numbers::pi * (Seconds(now - m_start) / kDriftPeriod);
  const double quiet = m_options.qber * (1 + kDriftShare * std::sin(phase));
  return quiet + m_intercepted * (1 - 2 * quiet) / 4;
}

double LinkModel::skr_bit_s(TimePoint now) const {
  return m_options.skr_bit_s * secret_share(qber(now)) / secret_share(m_options.qber);
}

void LinkModel::advance(TimePoint now, bool running) {
  if (m_running) {
    const double rate = skr_bit_s(now);
    // What nobody took is not made up for later: a second's worth, or two blocks, whichever is more.
    const double most = std::max(rate, 16.0 * static_cast<double>(m_options.block_octets));
    m_bits = std::min(most, m_bits + rate * Seconds(now - m_advanced).count());
  }
  m_advanced = now;
  m_running = running;
}

bool LinkModel::take_block(std::size_t octets) {
  const double bits = 8.0 * static_cast<double>(octets);
  if (m_initial_bits >= bits) {
    m_initial_bits -= bits;
    return true;
  }
  if (m_bits < bits) return false;
  m_bits -= bits;
  return true;
}

TimePoint LinkModel::next_block(TimePoint now, std::size_t octets) const {
  const double bits = 8.0 * static_cast<double>(octets);
  if (m_initial_bits >= bits) return now;
  const double rate = skr_bit_s(now);
  const double missing = std::max(0.0, bits - m_bits);
  const Seconds wait = rate * kLongestWait.count() > missing ? Seconds(missing / rate) : kLongestWait;
  // Rounded up, so that the block is there when the wait is over.
  return now + std::chrono::ceil<Duration>(wait);
}

}  // namespace quipu::sim
