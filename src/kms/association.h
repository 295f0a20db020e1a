// SPDX-License-Identifier: Apache-2.0
// Everything between this KME and one peer: the pool, the KM link, and the parts that work on them. Receives events,
// hands messages to the part they are for, and does afterwards what writes to the store but nobody waits for.
//
// An error from any call is the store's, and ends the run.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "kms/accept.h"
#include "kms/availability.h"
#include "kms/contact.h"
#include "kms/delivery.h"
#include "kms/km_link.h"
#include "kms/opened_leases.h"
#include "kms/own_leases.h"
#include "kms/pool.h"
#include "kms/rate_meter.h"
#include "kms/transferred_keys.h"

namespace quipu::kms {

class Association {
 public:
  // Closes what earlier runs left open, as burnt. `site` and `config` outlive it.
  static Result<std::unique_ptr<Association>> open(Site& site, const PeerConfig& config, Store& store);

  Association(Site& site, const PeerConfig& config, Pool pool);
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  const PeerConfig& config() const { return m_config; }

  bool is_current(LinkId link) const { return m_link.is_current(link); }

  Result<void> link_connected(LinkId link);
  Result<void> link_received(ByteView octets);
  void link_disconnected(const std::string& reason);

  // In contact.
  bool is_up() const { return m_link.up(); }

  bool is_simulated() const { return m_pool.simulated(); }

  // Whether its key may be a pad for a hop of relay. Not without a QKD link with that peer; nor where keys may be of
  // what came over trusted nodes, in this run or before it: those nodes would know the block, and of several shares
  // perhaps two. Combined with key of a link it is.
  bool carries_hops() const { return m_carries_hops; }

  // A relayed block has come to its end: stock at its source; at its destination it may still be voided.
  void note_relayed() { m_relayed = m_site.now; }

  // When the last one did; at first, when this run began.
  TimePoint last_relayed() const { return m_relayed; }

  // Of what came by relay; of all sources together where keys are not combined.
  std::uint64_t relay_stock_octets() const { return m_pool.stock_of(kRelaySource).free; }

  // As enc_keys would give them out now: nothing while it gives no keys, and without contact none but what is leased.
  std::uint64_t obtainable_octets() const { return m_delivery.obtainable_octets(false); }

  // --- for the relay, and multicast ---

  // A message that is no request. Nothing is sent without contact.
  void send(const wire::Message& message) {
    if (m_link.up()) m_link.send(message);
  }

  // In contact. Whether the peer has yet to answer a Ping, and so to take what was sent before it.
  bool is_pinging() const { return m_link.is_pinging(); }

  void ping() { m_link.ping(); }

  // In contact.
  void send_hop(wire::RelayHop hop);
  void send_transfer(wire::KeyTransfer transfer);
  // Its keys are nobody's. Told again at contact: what was sent before the connection ended may be lost.
  void void_transfer(const wire::TransferId& id);
  // False without contact, and when there are not enough slots leased; then leases for so many are taken, as long as
  // somebody goes on asking.
  bool has_pad(std::uint32_t slots);
  // Empty when there are not enough of them.
  std::optional<CarvedPad> carve_pad(std::uint32_t slots);

  OpenedLeases& opened() { return m_opened; }

  Accept& accept() { return m_accept; }

  Delivery& delivery() { return m_delivery; }

  // Marks that there is work for handle_timeout().
  void touch();

  Result<void> blocks_received(std::vector<SourceBlock> blocks);
  void driver_message(const std::string& source, SecretBytes message);

  void enc_keys(RequestId request, KeyOrder order);
  // `ids`: those of the call.
  void dec_keys(RequestId request, const SaeId& slave, const etsi::DecKeysCall& call, std::vector<Uuid> ids);

  // Announced by the peer under that key_ID.
  bool knows_key(const Uuid& key_id) const { return m_opened.knows(key_id) || m_transferred.holds(key_id); }

  // SAEs here may fetch it, or a part of them may still.
  bool has_key(const Uuid& key_id) const { return m_opened.is_bound(key_id) || m_transferred.holds(key_id); }

  etsi::Status status_reply(const SaeId& master, const SaeId& slave) const;

  void cancel(RequestId request) { m_delivery.cancel(request); }

  Result<void> void_all();
  // Nothing more is handed out of them in this run.
  Result<void> close_leases();

  Result<void> handle_timeout();
  std::optional<TimePoint> next_deadline() const;
  PoolStatus status(WallTime wall, TimePoint now) const;

 private:
  Result<void> close_dead_leases();
  LinkState link_state() const;
  std::string link_reason() const;

  // By the message's kind; each handler asks for what it needs.
  Result<void> dispatch(const wire::Hello& m) { return m_contact.receive(m); }

  Result<void> dispatch(const wire::Contact& m) { return m_contact.receive(m); }

  Result<void> dispatch(const wire::InventoryBlocks& m) { return m_contact.receive(m); }

  Result<void> dispatch(const wire::InventoryLeases& m) { return m_contact.receive(m); }

  Result<void> dispatch(const wire::InventoryEnd& m) { return m_contact.receive(m); }

  Result<void> dispatch(const wire::Merged& m) { return m_contact.receive(m); }

  Result<void> dispatch(const wire::Goodbye& m);

  Result<void> dispatch(const wire::Offer& m) { return m_accept.receive(m); }

  Result<void> dispatch(const wire::VoidRequest& m) { return m_accept.receive(m); }

  Result<void> dispatch(const wire::Lease& m) { return m_opened.receive(m, m_transferred.has_any(m.key_ids)); }

  Result<void> dispatch(const wire::Open& m) { return m_own.receive(m); }

  Result<void> dispatch(const wire::Close& m);
  Result<void> dispatch(const wire::Ping& m);
  Result<void> dispatch(const wire::BlockStates& m);
  Result<void> dispatch(const wire::Ack& m);
  Result<void> dispatch(const wire::Refused& m);
  Result<void> dispatch(const wire::Closed& m);
  Result<void> dispatch(const wire::Binding& m);
  Result<void> dispatch(const wire::BindingAck& m);
  Result<void> dispatch(const wire::DriverMessage& m);
  Result<void> dispatch(const wire::RelayHop& m);
  Result<void> dispatch(const wire::KeyTransfer& m);
  Result<void> dispatch(const wire::KeyTransferVoid& m);

  Result<void> dispatch(const wire::LinkState& m);
  Result<void> dispatch(const wire::RelayFailed& m);
  Result<void> dispatch_if_allowed(const wire::Message& message);

  void heard();
  void contact_made();
  Result<void> go_on_merging();
  void ask_closes();
  Result<void> take_leases();
  void tell_unshared(const std::string& link);
  std::uint64_t supply_octets() const;
  std::uint64_t used_octets() const;
  void repeat_voids(bool peer_restarted);
  void count_rates();
  void tell_low_stock();
  void want_pad(std::uint32_t slots);
  std::optional<Demand> waiting() const;

  Site& m_site;
  const PeerConfig& m_config;
  Pool m_pool;
  bool m_carries_hops;
  TimePoint m_relayed;
  KmLink m_link;
  OwnLeases m_own;
  UnfetchedCounts m_counts;
  OpenedLeases m_opened;
  ContactExchange m_contact;
  Accept m_accept;
  Availability m_availability;
  TransferredKeys m_transferred;
  Delivery m_delivery;

  std::set<LeaseId> m_close_asked;                  // on this connection, of leases that have not ended
  std::set<std::string> m_unshared_links;           // that were told of on this connection
  std::deque<wire::TransferId> m_voided_transfers;  // the newest that a run of the peer's may hold
  std::uint32_t m_pad_slots = 0;                    // that the relay or multicast waits for,
  TimePoint m_pad_wanted_until{};                   // until then
  std::optional<TimePoint> m_due;                   // housekeeping
  bool m_end_reported = false;                      // of serving
  bool m_stock_low = false;                         // as last told
  RateMeter m_production;
  RateMeter m_consumption;
  std::uint64_t m_counted_supply = 0;  // what the meters have seen
  std::uint64_t m_counted_use = 0;
  Books m_before_run;  // as the store had them
};

using Associations = std::map<KmeId, std::unique_ptr<Association>>;

}  // namespace quipu::kms
