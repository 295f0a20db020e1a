// SPDX-License-Identifier: Apache-2.0
// Keys for slaves at several KMEs (ETSI GS QKD 014, additional_slave_SAE_IDs). They are cut from the pool with one KME,
// and go to each of the others under a one-time pad of the pool with that one (docs/km-link.md, section 11). The master
// gets them when every one of these holds them; if one does not in time, nobody gets them.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "kms/association.h"

namespace quipu::kms {

// From the cutting of the keys to the last acknowledgement.
inline constexpr Duration kTransferTime = std::chrono::seconds(2);
// After keys of a master did not get to a KME: else one that takes none could have those of all pools burnt.
inline constexpr Duration kTransferPause = std::chrono::seconds(1);

class Multicast {
 public:
  // Both outlive it.
  Multicast(Site& site, const Associations& associations) : m_site(site), m_associations(associations) {}

  // Why an order cannot be met now, before any key is spent on it; empty when it may be begun. A key that several
  // sources stand behind goes nowhere under key of fewer: whoever knows that would know it.
  std::optional<etsi::ApiError> refusal(const KeyOrder& order, const PeerConfig& target) const;

  // What happened in this call; then whatever can go on.
  void handle(std::vector<MulticastEvent> events);
  // The client has gone: its keys are given up.
  void cancel(RequestId request);
  std::optional<TimePoint> next_deadline() const;

 private:
  enum class Stage { wants_pad, sent, held };

  struct Transfer {
    wire::TransferId id;
    KmeId to;
    Stage stage = Stage::wants_pad;
    std::optional<wire::RefusalReason> failed;
  };

  struct Pending {
    KeysCarved carved;
    std::vector<Transfer> transfers;
    TimePoint due;
  };

  void on(KeysCarved& event);
  void on(const KeyTransferAnswered& event);
  void answered(const KeyOrder& order, Transfer& transfer, std::optional<wire::RefusalReason> refused);
  void go_on(const Pending& pending, Transfer& transfer);
  void send(const KeysCarved& carved, Transfer& transfer, CarvedPad pad);
  // True when it has ended.
  bool progress(Pending& pending);
  bool hand_out(Pending& pending);
  bool is_paused(const KmeId& peer, const SaeId& master) const;
  void fail(Pending& pending, const KmeId& peer, wire::RefusalReason reason);
  // The keys are burnt here, and erased where they are held.
  void give_up(Pending& pending);

  Association& at(const KmeId& peer) const { return *m_associations.at(peer); }

  Site& m_site;
  const Associations& m_associations;
  std::list<Pending> m_pending;                                 // in order of `due`
  std::map<std::pair<KmeId, SaeId>, TimePoint> m_paused_until;  // by KME and master
};

}  // namespace quipu::kms
