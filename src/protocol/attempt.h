// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "protocol/key_fetch.h"

namespace quipu::protocol {

// The initiator's side of one handshake: first its keys are fetched, then one message 1 is made and repeated, octet for
// octet, until an answer opens or the deadline passes. It never changes its message: a new try is a new Attempt.
class Attempt {
 public:
  Attempt(PeerId peer, TimePoint now) : m_begun(now), m_fetch(peer, now + kKmsDeadline) {}

  TimePoint begun() const { return m_begun; }

  KeyFetch& fetch() { return m_fetch; }

  const KeyFetch& fetch() const { return m_fetch; }

  // Ends the fetching; then only a stamp is missing.
  void set_keys(std::vector<QkdKey> keys) {
    m_keys = std::move(keys);
    m_has_keys = true;
  }

  bool has_keys() const { return m_has_keys; }

  const std::vector<QkdKey>& keys() const { return m_keys; }

  std::vector<QkdKey> take_keys() { return std::move(m_keys); }

  // The message is ready; the first transmission is due at once.
  void start(Initiation initiation, Stamp stamp, TimePoint now);

  bool sent() const { return m_initiation.has_value(); }

  const Initiation& initiation() const { return *m_initiation; }

  Stamp stamp() const { return m_stamp; }

  int transmissions() const { return m_transmissions; }

  bool transmission_due(TimePoint now) const { return sent() && now >= m_next_send; }

  // Counts one transmission and sets the time of the next.
  void transmitted(TimePoint now, crypto::Rng& rng);

  // Something authentic came from the peer.
  void sign_of_life(TimePoint now) {
    if (sent() && !m_life) m_life = now;
  }

  bool life_seen() const { return m_life.has_value(); }

  // Only once sent.
  TimePoint deadline() const { return m_life ? *m_life + kAttemptDeadline : m_first_sent + kAttemptWithoutLife; }

  std::optional<TimePoint> next_deadline() const;

 private:
  TimePoint m_begun;
  KeyFetch m_fetch;
  bool m_has_keys = false;
  std::vector<QkdKey> m_keys;
  std::optional<Initiation> m_initiation;
  Stamp m_stamp;
  TimePoint m_first_sent;
  TimePoint m_next_send;
  Duration m_wait{kFirstRepetition};
  int m_transmissions = 0;
  std::optional<TimePoint> m_life;
};

// `limit` at most, evenly. For jitter: not secret.
Duration random_duration(Duration limit, crypto::Rng& rng);

}  // namespace quipu::protocol
