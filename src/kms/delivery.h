// SPDX-License-Identifier: Apache-2.0
// Hands keys to SAEs: enc_keys out of own leases, dec_keys out of opened ones, and the bindings between the two ends
// that say who may fetch what. Never writes to the store. A request that cannot be met at once waits up to kMaxWait.
#pragma once

#include <deque>
#include <list>
#include <optional>
#include <variant>
#include <vector>

#include "kms/availability.h"
#include "kms/opened_leases.h"
#include "kms/own_leases.h"
#include "kms/request_rules.h"
#include "kms/transferred_keys.h"

namespace quipu::kms {

inline constexpr Duration kMaxWait = std::chrono::milliseconds(500);
// One message acknowledges all bindings that came in this time.
inline constexpr Duration kMaxAckDelay = std::chrono::milliseconds(20);

// Of bindings that the peer has not acknowledged: with more no key is handed out. After contact all are sent at once.
inline constexpr std::size_t kMaxUnacknowledged = std::size_t{4} << 20;  // octets

class Delivery {
 public:
  Delivery(Site& site, const PeerConfig& peer, const Pool& pool, KmLink& link, OwnLeases& own, OpenedLeases& opened,
           TransferredKeys& transferred, UnfetchedCounts& counts, const Availability& availability)
      : m_site(site),
        m_peer(peer),
        m_pool(pool),
        m_link(link),
        m_own(own),
        m_opened(opened),
        m_transferred(transferred),
        m_counts(counts),
        m_availability(availability) {}

  // Each call is answered once, now or later; an order with slaves at further KMEs goes on to multicast when it is cut.
  void enc_keys(RequestId request, KeyOrder order);
  // `slave` is known to be served here.
  void dec_keys(RequestId request, const SaeId& slave, const etsi::DecKeysCall& call, std::vector<Uuid> ids);
  void cancel(RequestId request);

  // Keys that went on to multicast: bound and handed to their master. False, and nothing is done, when that must not be
  // any more. `simulated`: the key that they were transferred under.
  bool hand_out_kept(RequestId request, const KeyOrder& order, std::vector<CarvedKey>& keys, bool simulated);
  // They are burnt.
  void give_up_kept(const KeyOrder& order, const std::vector<CarvedKey>& keys);

  // Something came that a waiting request may wait for, or time has passed.
  void retry();
  // Closes the link when the peer does not acknowledge what was bound.
  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;
  // What the first waiting enc_keys needs.
  std::optional<Demand> waiting() const;

  void receive(const wire::Binding& message);
  void receive(const wire::BindingAck& message);
  // The peer learns soon what was fetched here.
  void tell_fetched();
  // Repeats the bindings that were not acknowledged; another run of the peer has no use for them.
  void contact(bool peer_restarted);

  // Of the pool, what can be had now: nothing while it gives no keys, without contact none but what is leased, and the
  // reserve only if that may be used.
  std::uint64_t obtainable_octets(bool with_reserve) const;

  // As enc_keys would give them to this SAE.
  std::uint64_t obtainable_octets(const SaeId& master) const {
    return obtainable_octets(terms_of(master).uses_reserve);
  }

  std::uint64_t obtainable_keys(const SaeId& master, std::uint32_t size_bits) const;

  // What was handed to SAEs here in this run.
  std::uint64_t delivered_keys() const { return m_delivered_keys; }

  std::uint64_t delivered_octets() const { return m_delivered_octets; }

 private:
  struct DecWait {
    SaeId master;
    SaeId slave;
    std::vector<KeyId> asked;  // as the SAE wrote them
    std::vector<Uuid> ids;
  };

  struct Waiting {
    RequestId request;
    std::variant<KeyOrder, DecWait> what;
    TimePoint until;
  };

  struct Unacknowledged {
    wire::Binding binding;
    std::size_t octets = 0;
    TimePoint sent;  // on this connection, if it is in contact
  };

  // True when it is done; false to wait on, which is not offered when `last`.
  bool serve(RequestId request, KeyOrder& order, bool last);
  bool serve(RequestId request, const DecWait& wait, bool last);
  void begin(RequestId request, std::variant<KeyOrder, DecWait> what, bool at_once);
  // Empty: wait on.
  std::optional<std::expected<std::vector<CarvedKey>, etsi::ApiError>> carve(const KeyOrder& order, bool last);
  std::optional<EtsiReply> attempt(const DecWait& wait, bool last);
  const SaeTerms& terms_of(const SaeId& sae) const;
  std::optional<etsi::ApiError> over_quota(const KeyOrder& order) const;
  // Why this SAE may not draw on what is there; empty when it may.
  std::optional<etsi::ApiError> over_budget(const KeyOrder& order) const;
  OpenedLeases::Finding look_up(const Uuid& key_id, const DecWait& wait) const;
  SecretBytes fetch(const Uuid& key_id, const DecWait& wait);
  void reply(RequestId request, EtsiReply reply);
  // A container that is about to be handed out: counted, and told to the audit log.
  EtsiReply hand_out(etsi::KeyContainer container, AuditDelivery audit);
  EtsiReply hand_out(const KeyOrder& order, std::vector<CarvedKey>& keys, bool simulated);
  void bind(const CarvedKey& key, const KeyOrder& order);
  void acknowledge_bindings();
  void forget_acknowledged(wire::BindingNumber up_to);
  etsi::ApiError not_serving() const;

  Site& m_site;
  const PeerConfig& m_peer;
  const Pool& m_pool;
  KmLink& m_link;
  OwnLeases& m_own;
  OpenedLeases& m_opened;
  TransferredKeys& m_transferred;
  UnfetchedCounts& m_counts;
  const Availability& m_availability;
  std::list<Waiting> m_waiting;  // in order of arrival
  std::uint64_t m_last_binding = 0;
  std::deque<Unacknowledged> m_unacknowledged;
  std::size_t m_unacknowledged_octets = 0;
  std::uint64_t m_received_binding = 0;  // the highest of the peer's run
  std::uint64_t m_told_binding = 0;      // that was acknowledged last
  std::optional<TimePoint> m_ack_due;    // some of them are not acknowledged on this connection
  std::uint64_t m_delivered_keys = 0;
  std::uint64_t m_delivered_octets = 0;
};

}  // namespace quipu::kms
