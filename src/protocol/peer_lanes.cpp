// SPDX-License-Identifier: Apache-2.0
// What the lanes after the first have to know of a peer, and what they have done for it. docs/protocol.md, "Lanes".
#include <algorithm>

#include "protocol/peer_machine.h"

namespace quipu::protocol {

void PeerMachine::lane_was_used(const SideLane::Used& used, const AllowedIps& allowed, TimePoint now) {
  // Where its first lane is behind an address translator, nobody can tell before it says something there.
  if (used.from && m_endpoint && !allowed.find(used.from->address))
    m_endpoint = Endpoint{used.from->address, m_endpoint->port, used.from->scope};
  read_tallies();
  if (!m_tallies_due) m_tallies_due = now + kLaneReport;
}

// In the order in which it happened.
void PeerMachine::read_tallies() {
  TimePoint sent = m_lanes_sent;
  TimePoint received = m_lanes_received;
  for (const LaneTally& tally : *m_tallies) {
    sent = std::max(sent, tally.sent.load(std::memory_order_relaxed));
    received = std::max(received, tally.received.load(std::memory_order_relaxed));
  }
  const bool sent_last = sent >= received;
  if (!sent_last) lanes_sent(sent);
  lanes_received(received);
  if (sent_last) lanes_sent(sent);
}

void PeerMachine::lanes_sent(TimePoint at) {
  if (at <= m_lanes_sent) return;
  m_lanes_sent = at;
  m_path.use();
  if (Epoch* current = m_epochs.current()) current->carried = true;
  if (!m_unanswered_since) m_unanswered_since = at;
  m_last_sent = std::max(m_last_sent, at);
  m_reply_since.reset();
}

// It confirms no keys: the peer's first packet under them comes by the first lane.
void PeerMachine::lanes_received(TimePoint at) {
  if (at <= m_lanes_received) return;
  m_lanes_received = at;
  m_last_received = std::max(m_last_received, std::optional(at));
  m_attempt_failed = false;
  m_unanswered_since.reset();
  if (m_attempt) m_attempt->sign_of_life(at);
  if (Epoch* current = m_epochs.current()) current->carried = true;
  if (!m_reply_since) m_reply_since = at;
}

PeerView PeerMachine::view() const {
  PeerView out{
      .id = m_config.id, .endpoint = m_endpoint, .packet_limit = m_path.limit(), .keys = {}, .tallies = m_tallies};
  std::size_t i = 0;
  for (const Epoch* epoch : m_epochs.all()) {
    if (epoch != nullptr) out.keys[i] = {epoch->keypair, epoch->dies};
    ++i;
  }
  return out;
}

void PeerMachine::progress_lanes(const Context& context) {
  if (m_tallies_due && *m_tallies_due <= context.now) {
    m_tallies_due.reset();
    // First, so that what comes after this look is told of.
    for (LaneTally& tally : *m_tallies)
      tally.told.exchange(false, std::memory_order_acq_rel);
    read_tallies();
  }
  PeerView present = view();
  if (present == m_told) return;
  m_told = present;
  context.out.emplace_back(UpdateLanes{std::move(present)});
}

PeerStatistics PeerMachine::statistics_of_all_lanes() const {
  PeerStatistics out = m_statistics;
  if (!m_tallies) return out;
  for (const LaneTally& tally : *m_tallies) {
    out.rx_packets += tally.rx_packets;
    out.rx_bytes += tally.rx_bytes;
    out.tx_packets += tally.tx_packets;
    out.tx_bytes += tally.tx_bytes;
    for (std::size_t i = 0; i < kDropReasons; ++i)
      out.drops[i] += tally.drops[i];
  }
  return out;
}

std::size_t PeerMachine::lanes_in_use() const {
  if (!m_tallies) return 1;
  const auto carries = [](const LaneTally& tally) { return tally.carries.load(std::memory_order_relaxed); };
  return 1 + static_cast<std::size_t>(std::ranges::count_if(*m_tallies, carries));
}

}  // namespace quipu::protocol
