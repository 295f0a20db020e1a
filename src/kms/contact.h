// SPDX-License-Identifier: Apache-2.0
// How two KMEs begin a connection: each proves which run it is and that it is alive, both compare inventories, and
// where they differ each makes the same conclusions durable. Only then are the KM link's requests made and answered.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "kms/km_link.h"
#include "kms/opened_leases.h"
#include "kms/own_leases.h"
#include "kms/pool.h"

namespace quipu::kms {

class ContactExchange {
 public:
  ContactExchange(Site& site, Pool& pool, KmLink& link, OwnLeases& own, OpenedLeases& opened)
      : m_site(site), m_pool(pool), m_link(link), m_own(own), m_opened(opened) {}

  // A connection stands: sends our Hello.
  void begin();

  Result<void> receive(const wire::Hello& message);
  Result<void> receive(const wire::Contact& message);
  Result<void> receive(const wire::InventoryBlocks& message);
  Result<void> receive(const wire::InventoryLeases& message);
  Result<void> receive(const wire::InventoryEnd& message);
  Result<void> receive(const wire::Merged& message);

  // Some of what both have listed is not merged yet: to be gone on with when other events have been served.
  bool merging() const { return m_step == Step::merging && m_link.connected(); }

  // The next part, in one transaction.
  Result<void> merge_part();

  // Gives back what both have listed: a connection that has ended comes to no merge.
  void forget_lists();

  // Whether the peer's Contact has come on this connection, with our nonce: its run is alive.
  bool peer_is_alive() const { return m_step > Step::contact; }

  // Two copies of the peer run, and both are refused: until a run comes that is none of them.
  bool peer_is_cloned() const { return m_peer_is_cloned; }

  // Once after each contact: whether the peer's run is another one than at the contact before. A connection that ended
  // between the two does not count.
  bool take_peer_restarted() { return std::exchange(m_peer_restarted, false); }

 private:
  enum class Step : std::uint8_t { hello, contact, inventory, merging, merged, done };

  // False, and the link is closed, when a message comes out of turn.
  bool expect(Step step);
  Result<bool> admit_run();
  void send_inventory();
  bool anything_to_merge() const;
  Result<void> merge_next();
  Result<void> merge_highest_block();
  void merge_block(const wire::InventoryBlock& theirs);
  Result<void> merge_unknown(const wire::InventoryBlock& theirs);
  void merge_missing(const BlockId& id);
  void merge_lease(const wire::InventoryLease& theirs);
  void void_block(const BlockId& id, std::string_view why);

  Site& m_site;
  Pool& m_pool;
  KmLink& m_link;
  OwnLeases& m_own;
  OpenedLeases& m_opened;

  Step m_step = Step::hello;
  wire::Nonce m_nonce{};
  InstanceId m_claimed;  // by the peer's Hello
  bool m_peer_restarted = false;
  bool m_peer_is_cloned = false;
  BlockDigest m_digest{};  // of our inventory, as sent
  // As sent and received, and not merged yet.
  std::set<BlockId> m_listed;
  std::map<BlockId, wire::InventoryBlock> m_their_blocks;
  std::vector<wire::InventoryLease> m_their_leases;
  std::size_t m_their_ranges = 0;  // of both, as received
  std::size_t m_recorded = 0;      // blocks that were never here
  bool m_peer_merged = false;
};

}  // namespace quipu::kms
