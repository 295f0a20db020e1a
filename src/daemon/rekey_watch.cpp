// SPDX-License-Identifier: Apache-2.0
#include "daemon/rekey_watch.h"

#include <algorithm>

#include "daemon/status_report.h"

namespace quipu::daemon {
namespace {

control::RekeyedPeer result_of(const protocol::PeerStatus& peer, std::uint64_t warm_before, std::uint64_t cold_before) {
  control::RekeyedPeer out{.peer = peer.name, .latency_ms = std::nullopt, .key_prefetched = false};
  const protocol::PeerStatistics& statistics = peer.statistics;
  if (statistics.rekey_warm.count() > warm_before) {
    out.latency_ms = milliseconds(statistics.rekey_warm.last());
    out.key_prefetched = true;
  } else if (statistics.rekey_cold.count() > cold_before) {
    out.latency_ms = milliseconds(statistics.rekey_cold.last());
  }
  return out;
}

}  // namespace

void RekeyWatch::add(std::span<const protocol::PeerStatus> peers, TimePoint deadline, Handler handler) {
  Pending pending{{}, {}, deadline, std::move(handler)};
  for (const protocol::PeerStatus& peer : peers)
    pending.waiting.push_back({peer.id, peer.name, peer.statistics.epochs, peer.statistics.rekey_warm.count(),
                               peer.statistics.rekey_cold.count()});
  m_pending.push_back(std::move(pending));
}

// An error ends the wait; without one and with nothing left to wait for it is complete.
std::optional<Error> RekeyWatch::progress(Pending& pending, std::span<const protocol::PeerStatus> peers,
                                          TimePoint now) {
  for (auto one = pending.waiting.begin(); one != pending.waiting.end();) {
    const auto peer = std::ranges::find(peers, one->id, &protocol::PeerStatus::id);
    if (peer == peers.end()) return Error{Errc::not_found, "peer '" + one->name + "' was removed meanwhile"};
    if (peer->statistics.epochs == one->epochs || !peer->confirmed) {
      ++one;
      continue;
    }
    pending.done.rekeys.push_back(result_of(*peer, one->warm, one->cold));
    one = pending.waiting.erase(one);
  }
  if (pending.waiting.empty() || now < pending.deadline) return std::nullopt;
  return Error{Errc::timeout, "the rekey with peer '" + pending.waiting.front().name + "' is not complete yet"};
}

void RekeyWatch::check(std::span<const protocol::PeerStatus> peers, TimePoint now) {
  for (auto pending = m_pending.begin(); pending != m_pending.end();) {
    const auto error = progress(*pending, peers, now);
    if (!error && !pending->waiting.empty()) {
      ++pending;
      continue;
    }
    if (error)
      pending->handler(std::unexpected(*error));
    else
      pending->handler(std::move(pending->done));
    pending = m_pending.erase(pending);
  }
}

std::optional<TimePoint> RekeyWatch::next_deadline() const {
  if (m_pending.empty()) return std::nullopt;
  return std::ranges::min_element(m_pending, {}, &Pending::deadline)->deadline;
}

}  // namespace quipu::daemon
