// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>

#include "base/ip.h"
#include "protocol/key_fetch.h"

namespace quipu::protocol {

// Names a message 1 whatever its mac2 is.
using MessageDigest = std::array<std::uint8_t, 32>;
MessageDigest digest_of(ByteView initiation);

// The responder's side: the one message 1 in hand and, once there is one, its answer (message 2 or reject), which every
// repetition gets octet for octet. While a KMS is asked it stays silent.
class AnswerKeeper {
 public:
  struct Asking {
    ReceivedInitiation initiation;
    KeyFetch fetch;
  };

  bool holds(const MessageDigest& digest) const { return m_in_hand && m_digest == digest; }

  // Takes a newly accepted message 1. Nothing may be asked for at that time.
  void accept(const MessageDigest& digest, const Endpoint& from, std::uint64_t order, TimePoint now);

  void ask(Asking asking) { m_asking.emplace(std::move(asking)); }

  Asking* asking() { return m_asking ? &*m_asking : nullptr; }

  const Asking* asking() const { return m_asking ? &*m_asking : nullptr; }

  std::optional<Asking> take_asking() { return std::exchange(m_asking, std::nullopt); }

  // The answer to the one in hand; `is_response` tells message 2 from a reject. To be sent to from().
  void answer(Bytes message, bool is_response, TimePoint now);

  // A repetition came. The octets to send to its sender now, or null: still asked for, or sent a moment ago. Whoever
  // replays the message from elsewhere neither takes the first sender's answers nor keeps them alive.
  const Bytes* repeated(const Endpoint& from, TimePoint now);

  // Where the first copy came from.
  const Endpoint& from() const { return m_from; }

  std::uint64_t order() const { return m_order; }

  bool answered_with_response() const { return m_in_hand && m_is_response; }

  // A packet opened under the answer's keypair.
  void confirmed() {
    if (m_is_response) drop();
  }

  void drop();
  void expire(TimePoint now);

  // Crossing rule (a), once nothing is asked for: no attempt of our own before this. `hold`: kAnswerHoldsBack, or N if
  // that is shorter, since otherwise an answer that nobody confirms would outlast the session.
  void set_hold(Duration hold) { m_hold = std::min(hold, kAnswerHoldsBack); }

  TimePoint holds_back_until() const { return m_is_response ? m_repeated + m_hold : TimePoint{}; }

  std::optional<TimePoint> next_deadline() const;

 private:
  bool m_in_hand = false;
  MessageDigest m_digest{};
  Endpoint m_from;
  std::uint64_t m_order = 0;
  TimePoint m_accepted;
  TimePoint m_repeated;        // by the first sender
  TimePoint m_sent;            // to the first sender
  TimePoint m_sent_elsewhere;  // to any other
  std::optional<Asking> m_asking;
  Bytes m_answer;
  bool m_is_response = false;
  Duration m_hold{kAnswerHoldsBack};
};

}  // namespace quipu::protocol
