// SPDX-License-Identifier: Apache-2.0
// Rekeys that somebody waits for: when each is complete, and how long it took.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/message.h"
#include "protocol/status.h"

namespace quipu::daemon {

class RekeyWatch {
 public:
  // Once: when all peers have a new epoch that the other end has confirmed, or have failed. An error, with a text that
  // names the peer, when not one of them has: Errc::timeout, not_found (the peer was removed).
  using Handler = std::move_only_function<void(Result<control::RekeyResult>)>;

  static constexpr Duration kPatience = std::chrono::seconds(10);

  // `peers` as they are before the rekey is started; `failed` are those that could not start.
  void add(std::span<const protocol::PeerStatus> peers, std::vector<control::UnrekeyedPeer> failed, TimePoint now,
           Handler handler);
  // After anything may have changed. Calls handlers, which may call add() and check().
  void check(std::span<const protocol::PeerStatus> peers, TimePoint now);

  bool empty() const { return m_pending.empty(); }

  std::optional<TimePoint> next_deadline() const;

 private:
  struct Waiting {
    protocol::PeerId id;
    std::string name;
    std::uint64_t epochs = 0;
    std::uint64_t warm = 0;
    std::uint64_t cold = 0;
  };

  struct Pending {
    std::vector<Waiting> waiting;
    control::RekeyResult done;
    std::optional<Error> first_error;
    TimePoint asked;
    TimePoint deadline;
    Handler handler;
  };

  static bool progress(const Waiting& one, Pending& pending, std::span<const protocol::PeerStatus> peers,
                       TimePoint now);

  std::vector<Pending> m_pending;
};

}  // namespace quipu::daemon
