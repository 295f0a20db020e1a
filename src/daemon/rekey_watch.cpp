// SPDX-License-Identifier: Apache-2.0
#include "daemon/rekey_watch.h"

#include <algorithm>
#include <utility>

#include "daemon/status_report.h"

namespace quipu::daemon {
namespace {

control::RekeyedPeer result_of(const protocol::PeerStatus& peer, std::uint64_t warm_before, std::uint64_t cold_before,
                               Duration since_asked) {
  control::RekeyedPeer out{.peer = peer.name,
                           .latency_ms = std::nullopt,
                           .key_prefetched = false,
                           .since_asked_ms = milliseconds(since_asked)};
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

void RekeyWatch::add(std::span<const protocol::PeerStatus> peers, std::vector<control::UnrekeyedPeer> failed,
                     TimePoint now, Handler handler) {
  Pending pending{.waiting = {},
                  .done = {.rekeys = {}, .failed = std::move(failed)},
                  .first_error = std::nullopt,
                  .asked = now,
                  .deadline = now + kPatience,
                  .handler = std::move(handler)};
  for (const protocol::PeerStatus& peer : peers)
    pending.waiting.push_back({peer.id, peer.name, peer.statistics.epochs, peer.statistics.rekey_warm.count(),
                               peer.statistics.rekey_cold.count()});
  m_pending.push_back(std::move(pending));
}

// Whether nothing more is to be waited for with this peer.
bool RekeyWatch::progress(const Waiting& one, Pending& pending, std::span<const protocol::PeerStatus> peers,
                          TimePoint now) {
  const auto peer = std::ranges::find(peers, one.id, &protocol::PeerStatus::id);
  const bool there = peer != peers.end();
  if (there && peer->statistics.epochs != one.epochs && peer->confirmed) {
    pending.done.rekeys.push_back(result_of(*peer, one.warm, one.cold, now - pending.asked));
    return true;
  }
  if (there && now < pending.deadline) return false;
  Error error = there ? Error{Errc::timeout, "the rekey with peer '" + one.name + "' is not complete yet"}
                      : Error{Errc::not_found, "peer '" + one.name + "' was removed meanwhile"};
  pending.done.failed.push_back({one.name, error.text});
  if (!pending.first_error) pending.first_error = std::move(error);
  return true;
}

void RekeyWatch::check(std::span<const protocol::PeerStatus> peers, TimePoint now) {
  for (Pending& pending : m_pending)
    std::erase_if(pending.waiting, [&](const Waiting& one) { return progress(one, pending, peers, now); });
  // A handler may add a wait, and check again.
  std::vector<Pending> done;
  for (Pending& pending : std::exchange(m_pending, {}))
    (pending.waiting.empty() ? done : m_pending).push_back(std::move(pending));
  for (Pending& pending : done) {
    if (pending.done.rekeys.empty() && pending.first_error)
      pending.handler(std::unexpected(*pending.first_error));
    else
      pending.handler(std::move(pending.done));
  }
}

std::optional<TimePoint> RekeyWatch::next_deadline() const {
  if (m_pending.empty()) return std::nullopt;
  return std::ranges::min_element(m_pending, {}, &Pending::deadline)->deadline;
}

}  // namespace quipu::daemon
