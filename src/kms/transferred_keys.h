// SPDX-License-Identifier: Apache-2.0
// Keys that the peer has transferred to this KME for SAEs here, of another pool of its own (docs/km-link.md, section
// 11). In locked memory only: fetched once by each slave, or erased after the time to live, for want of room, or when
// this run ends.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>
#include <vector>

#include "kms/held_keys.h"

namespace quipu::kms {

class TransferredKeys {
 public:
  // All outlive it.
  TransferredKeys(Site& site, const PeerConfig& peer, KmLink& link, OpenedLeases& opened, UnfetchedCounts& counts)
      : m_site(site), m_peer(peer), m_link(link), m_opened(opened), m_held(counts) {}

  using Finding = OpenedLeases::Finding;

  // As OpenedLeases does; nothing of them is ever awaited.
  Finding look_up(const Uuid& key_id, const SaeId& master, const SaeId& slave) const {
    return m_held.look_up(key_id, master, slave);
  }

  // The key, once for this slave: look_up() just granted it.
  SecretBytes fetch(const Uuid& key_id, const SaeId& slave) { return m_held.fetch(key_id, slave); }

  bool holds(const Uuid& key_id) const { return m_held.contains(key_id); }

  // Whether a transfer has brought a key under one of these, or will when its pad can be opened.
  bool has_any(const std::vector<Uuid>& key_ids) const;

  // Some key that this run got so came from a simulated device.
  bool simulated() const { return m_simulated; }

  // Gives exactly one answer while contact lasts, now or within kMaxWait; a repeated one gets the same as before.
  void receive(const wire::KeyTransfer& message);
  void receive(const wire::KeyTransferVoid& message);

  // What the pads of this pool have brought may be known where they are.
  void erase_all();

  // What waits for a lease's acknowledgement, and what is too old.
  void progress();
  std::optional<TimePoint> next_deadline() const;

 private:
  // Its pad cannot be opened yet.
  struct Arrival {
    wire::KeyTransfer message;
    std::vector<wire::RequestNumber> numbers;  // each time that it was asked
    TimePoint until;
  };

  using Arrivals = std::list<Arrival>;

  struct Receipt {
    crypto::OneTimeTag tag{};
    std::optional<wire::RefusalReason> refused;
  };

  bool repeated(const wire::KeyTransfer& message);
  std::optional<wire::RefusalReason> judge(const wire::KeyTransfer& message) const;
  std::set<SaeId> served(const std::vector<SaeId>& slaves) const;
  // False while it has to wait.
  bool open(const Arrival& arrival);
  void hold(const wire::KeyTransfer& message, ByteView keys);
  void answer(const Arrival& arrival, std::optional<wire::RefusalReason> refused);
  void send_answer(wire::RequestNumber number, std::optional<wire::RefusalReason> refused) const;
  void alarm_duplicate(const wire::KeyTransfer& message) const;
  Arrivals::iterator drop(Arrivals::iterator arrival);

  Site& m_site;
  const PeerConfig& m_peer;
  KmLink& m_link;
  OpenedLeases& m_opened;
  Arrivals m_arrivals;
  std::unordered_set<Uuid> m_arriving;  // their key_IDs
  HeldKeys m_held;
  bool m_simulated = false;
  std::map<wire::TransferId, Receipt> m_receipts;
  std::deque<wire::TransferId> m_receipt_order;
};

}  // namespace quipu::kms
