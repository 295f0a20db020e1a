// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>

#include "protocol/peer_machine.h"

namespace quipu::protocol {

// One peer with what PeerSet knows of it.
class PeerEntry : public RouteTarget {
 public:
  PeerEntry(PeerConfig config, const crypto::X25519PublicKey& own, const PeerMachine::Carriage& carriage)
      : machine(std::move(config), own, carriage) {}

  PeerMachine machine;

 private:
  friend class PeerSet;
  std::optional<TimePoint> m_due;
  bool m_touched = false;
};

// The peers of a Device, and which of them have something to do: those that an event has touched, and those whose time
// has come. A turn costs nothing for all others, however many there are.
class PeerSet {
 public:
  // There is none with this id. It is touched.
  void add(PeerConfig config, const crypto::X25519PublicKey& own, const PeerMachine::Carriage& carriage);
  // Ends all pointers to it.
  void remove(PeerId id);

  // Null when there is none.
  PeerEntry* find(PeerId id);

  // Whatever changes a peer but advance(): its deadline is asked for anew.
  void touch(PeerEntry& entry) {
    if (std::exchange(entry.m_touched, true)) return;
    m_touched.push_back(&entry);
  }

  void touch_all();

  // Advances whoever has something to do.
  void advance(const Context& context);
  // Of all peers. `now`: of the last event.
  std::optional<TimePoint> next_deadline(TimePoint now) const;

  bool empty() const { return m_entries.empty(); }

  auto begin() { return m_entries.begin(); }

  auto end() { return m_entries.end(); }

  auto begin() const { return m_entries.begin(); }

  auto end() const { return m_entries.end(); }

 private:
  void set_due(PeerId id, PeerEntry& entry, std::optional<TimePoint> due);

  std::map<PeerId, PeerEntry> m_entries;
  std::set<std::pair<TimePoint, PeerId>> m_due;  // PeerEntry::m_due of all that have one
  std::vector<PeerEntry*> m_touched;
};

}  // namespace quipu::protocol
