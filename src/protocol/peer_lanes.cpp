// SPDX-License-Identifier: Apache-2.0
// What the lanes after the first have to know of a peer, and what they have done for it. docs/protocol.md, "Lanes".
#include <algorithm>

#include "protocol/peer_machine.h"

namespace quipu::protocol {

void PeerMachine::lane_was_used(const SideLane::Used& used, const AllowedIps& allowed, TimePoint now) {
  if (used.from && m_endpoint && !allowed.find(used.from->address))
    m_elsewhere = Endpoint{used.from->address, m_endpoint->port, used.from->scope};
  read_tallies(now);
  if (!m_tallies_due) m_tallies_due = now + kLaneReport;
}

void PeerMachine::read_tallies(TimePoint now) {
  LanesLast last = m_lanes_last;
  for (const LaneTally& tally : *m_tallies) {
    last.sent = std::max(last.sent, tally.sent.load(std::memory_order_relaxed));
    last.opened = std::max(last.opened, tally.opened.load(std::memory_order_relaxed));
    last.received = std::max(last.received, tally.received.load(std::memory_order_relaxed));
  }
  const LanesLast before = std::exchange(m_lanes_last, last);
  Epoch* const current = m_epochs.current();
  if (current != nullptr && (last.sent > before.sent || last.received > before.received)) current->carried = true;
  if (last.opened > before.opened) lanes_opened(last.opened);
  if (last.received > before.received && last.received > last.sent && !m_reply_since) m_reply_since = last.received;
  if (last.sent > before.sent) lanes_sent(last.sent);
  // Whichever lane it was that the peer has shown it on.
  if (current != nullptr && !current->confirmed && current->keypair->has_opened()) current_confirmed(now);
}

// It is no keepalive of the first lane's, whose path is another.
void PeerMachine::lanes_sent(TimePoint at) {
  m_path.use();
  if (m_reply_since && *m_reply_since <= at) m_reply_since.reset();
  if (!m_unanswered_since && at > m_last_received) m_unanswered_since = at;
}

void PeerMachine::lanes_opened(TimePoint at) {
  m_last_received = std::max(m_last_received, std::optional(at));
  m_attempt_failed = false;
  if (m_unanswered_since && *m_unanswered_since <= at) m_unanswered_since.reset();
  if (m_attempt) m_attempt->sign_of_life(at);
}

// Only where nobody answers at the place that is known: by an address translator with several addresses, each lane may
// seem to be somewhere else.
void PeerMachine::look_elsewhere() {
  if (m_elsewhere) m_endpoint = *std::exchange(m_elsewhere, std::nullopt);
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
    read_tallies(context.now);
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
