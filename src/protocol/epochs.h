// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "base/time.h"
#include "protocol/index_table.h"
#include "protocol/keypair.h"

namespace quipu::protocol {

// One keypair with what the state machine knows about it.
struct Epoch {
  std::shared_ptr<Keypair> keypair;  // with lanes that have their own threads
  bool initiator = false;
  bool confirmed = false;  // the peer is known to hold it
  bool carried = false;    // more than keepalives
  Stamp stamp;             // of its message 1
  std::uint64_t order =
      0;  // when its message 1 was accepted (responder) or it was installed (initiator), as a sequence
  TimePoint made;
  TimePoint dies;

  struct Protection {
    std::size_t qkd_keys = 0;
    bool simulated = false;
  } protection;

  bool alarmed = false;  // it was told that somebody sends what does not open under it
};

// The slots current, previous and next of one peer: receive on all three, send on current. Erases what dies and gives
// its index back.
class Epochs {
 public:
  Epoch* current() { return m_current ? &*m_current : nullptr; }

  const Epoch* current() const { return m_current ? &*m_current : nullptr; }

  // Current, next and previous; null where there is none.
  std::array<const Epoch*, 3> all() const {
    const auto pointer = [](const std::optional<Epoch>& slot) { return slot ? &*slot : nullptr; };
    return {pointer(m_current), pointer(m_next), pointer(m_previous)};
  }

  const Epoch* next() const { return m_next ? &*m_next : nullptr; }

  // The epoch with this index of ours, if it is alive.
  Epoch* find(SessionIndex local, TimePoint now);

  bool is_current(const Epoch& epoch) const { return m_current && &*m_current == &epoch; }

  bool is_current(SessionIndex local) const { return m_current && m_current->keypair->local() == local; }

  bool is_next(const Epoch& epoch) const { return m_next && &*m_next == &epoch; }

  // The initiator's new keypair becomes current at once. An unconfirmed current is replaced, and previous stays;
  // a confirmed one (or one with nothing behind it) becomes previous and lives on to its own end until the new one is
  // confirmed.
  void install(Epoch epoch, IndexTable& indices);
  // The responder's new keypair waits for its first packet. An older one gives way.
  void set_next(Epoch epoch, IndexTable& indices);
  // The last message 2 went out again.
  void extend_next(TimePoint dies);
  // The first packet opened under next. False when it may only receive: its message 1 was accepted before the present
  // current was installed, so that the peer sends under something newer, or will. `order`: of this change; `dies`: of
  // the new current.
  bool promote_next(std::uint64_t order, TimePoint dies, TimePoint previous_dies, IndexTable& indices);
  // Something opened under the current that we installed as initiator.
  void confirm_current(TimePoint previous_dies);

  // Whether there is a keypair under attack that there was not at the last call.
  bool newly_under_attack();

  // Erases what is past its end.
  void expire(TimePoint now, IndexTable& indices);

  void erase_current(IndexTable& indices) { erase(m_current, indices); }

  void erase_all(IndexTable& indices);
  std::optional<TimePoint> next_deadline() const;

 private:
  // Unless it is unconfirmed and would push out a keypair that the peer is known to hold.
  void keep_current_as_previous(IndexTable& indices);
  static void erase(std::optional<Epoch>& slot, IndexTable& indices);

  std::optional<Epoch> m_current;
  std::optional<Epoch> m_previous;
  std::optional<Epoch> m_next;
};

}  // namespace quipu::protocol
