// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "protocol/context.h"

namespace quipu::protocol {

// A QKD key in our hands that has entered no handshake yet.
struct HeldKey {
  KeyReference reference;
  Secret<32> key;
  TimePoint expires;
};

// One round of questions to the KMSs for the keys of one epoch: a fresh key per slot (the initiator's side), or the
// keys that the peer named (the responder's). A key_ID that is unknown may only be not known yet: it is asked for again
// until the deadline.
class KeyFetch {
 public:
  KeyFetch(PeerId peer, TimePoint deadline) : m_peer(peer), m_deadline(deadline) {}

  // Asks. `key_id`: the one that the peer named, or none for a fresh one.
  void ask(std::uint8_t slot, const KeySource& source, std::optional<KeyId> key_id, const Context& context);
  // A key that is there already.
  void put(HeldKey key);

  // A request of an earlier round whose answer is still out.
  struct Late {
    KeyRequestId id;
    std::uint8_t slot = 0;
    std::optional<KeyId> key_id;
    TimePoint asked_at;
  };

  void adopt(Late late, const KeySource& source);

  // A reference that is unusable as it stands: as good as unknown to the KMS.
  void put_unknown(std::uint8_t slot);
  // A key that came by another way, if this round still asks for it.
  bool put_if_wanted(HeldKey& key);

  // What is asked under this id; nothing when it is not of this round, or was answered.
  std::optional<Late> find(KeyRequestId id) const;
  // The answer to a request of this round that find() knows.
  void fetched(KeyRequestId id, const KeyId& key_id, Secret<32> key, TimePoint expires);
  void failed(KeyRequestId id, KeyFailure failure, TimePoint now);
  // Asks again what is due. What has hung since before this round (see adopt) is given up: asked anew, and returned as
  // late.
  [[nodiscard]] std::vector<Late> advance(const Context& context);

  // Every slot has its answer, or the deadline has passed.
  bool done(TimePoint now) const;
  std::optional<TimePoint> next_deadline() const;

  TimePoint deadline() const { return m_deadline; }

  std::size_t keys_at_hand() const { return m_held.size(); }

  // A KMS said that it does not have a key: another one may do.
  bool any_unknown() const;

  // The keys that came, in slot order; the round is over.
  std::vector<HeldKey> take_keys();

  // Requests that are still out: their answers come late.
  std::vector<Late> outstanding() const;

 private:
  enum class State : std::uint8_t { asked, to_ask_again, fetched, unknown, unavailable };

  struct Question {
    KeyRequestId id;
    std::uint8_t slot = 0;
    KeySource source;
    std::optional<KeyId> key_id;
    State state = State::asked;
    TimePoint asked_at;
    TimePoint again_at;
  };

  Question& question(KeyRequestId id);
  void send(Question& question, const Context& context) const;

  PeerId m_peer;
  TimePoint m_deadline;
  std::vector<Question> m_questions;
  std::vector<HeldKey> m_held;
};

}  // namespace quipu::protocol
