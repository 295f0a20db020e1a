// SPDX-License-Identifier: Apache-2.0
// Relayed blocks, or shares of such, that reach this KME: opened with key of the link that they came over, then held if
// they are for this KME, or sent on under key of the next link. A trusted node has one share of a block at most, in
// memory only, and no longer than it needs: until the next KME has it, a link on either side is lost, or kCarryTime has
// passed.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "kms/relay/relay_source.h"
#include "kms/relay/shares.h"

namespace quipu::kms {

class RelayTransit {
 public:
  RelayTransit(Site& site, const Associations& associations)
      : m_site(site), m_associations(associations), m_shares(site) {}

  // Each hop gets exactly one answer while contact lasts; a repeated one the same as before.
  Result<void> receive(RelayHopReceived arrival);
  void hop_answered(const RelayHopAnswered& answer);
  void failed(const RelayFailedReceived& news);
  void contact_lost(const KmeId& peer);

  // What waits for a lease's acknowledgement, or for key of the next link.
  Result<void> progress();
  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;

  void describe(RelayStatus& status) const;

 private:
  // Its pad cannot be opened yet.
  struct Arrival {
    KmeId from;
    wire::RelayHop hop;
    std::vector<wire::RequestNumber> numbers;  // each time that it was asked
    TimePoint until;
  };

  enum class Stage { wants_key, sent, passed_on };

  struct Carried {
    KmeId from;
    wire::RelayHop hop;  // as it goes on; without its pad before it is sent
    KmeId next;
    SecretBytes block;  // empty when passed on
    Stage stage = Stage::wants_key;
    TimePoint arrived;
    TimePoint due;  // of this stage
  };

  struct Receipt {
    KmeId from;
    crypto::OneTimeTag tag{};
    std::optional<wire::RefusalReason> refused;
  };

  // Which share of which block.
  using ShareId = std::pair<BlockId, std::uint8_t>;
  using CarriedEntry = std::map<BlockId, Carried>::iterator;

  static ShareId share_of(const wire::RelayHop& hop) { return {hop.relay, hop.share}; }

  bool repeated(const RelayHopReceived& arrival);
  bool is_one_too_many(const KmeId& from, const wire::RelayHop& hop) const;
  std::optional<wire::RefusalReason> judge(const KmeId& from, const wire::RelayHop& hop) const;
  bool is_expected_destination(const wire::RelayHop& hop) const;
  // False while it has to wait.
  Result<bool> open(Arrival& arrival);
  Result<void> take(const Arrival& arrival, SecretBytes share);
  // At the destination.
  Result<std::optional<wire::RefusalReason>> hold(const wire::RelayHop& hop, SecretBytes share);
  bool is_full_for(const KmeId& from) const;
  void answer(const Arrival& arrival, std::optional<wire::RefusalReason> refused);
  void send_answer(const KmeId& to, wire::RequestNumber number, std::optional<wire::RefusalReason> refused) const;
  void carry(const Arrival& arrival, SecretBytes block);
  // False while there is no key.
  bool send_on(Carried& carried);
  void give_up(CarriedEntry entry, wire::RefusalReason reason);
  Association* contact(const KmeId& peer) const;

  Site& m_site;
  const Associations& m_associations;
  std::deque<Arrival> m_arrivals;  // in order of arrival
  std::map<BlockId, Carried> m_carried;
  Shares m_shares;
  std::map<ShareId, Receipt> m_receipts;
  std::deque<ShareId> m_receipt_order;
  std::uint64_t m_forwarded = 0;
  std::uint64_t m_refused = 0;
  std::uint64_t m_forged = 0;
};

}  // namespace quipu::kms
