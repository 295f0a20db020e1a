// SPDX-License-Identifier: Apache-2.0
// Two-phase accept: a block from a driver is held durably, offered to the peer, and becomes usable when the peer has
// shown by an equal digest that it holds the same. An end that has offered never voids alone: it asks.
//
// A block that came by relay is offered by VoidRequest at once: its source has it, or has given it up for good. The
// source has the block in memory only until then (await_relayed).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kms/km_link.h"
#include "kms/opened_leases.h"
#include "kms/pool.h"

namespace quipu::kms {

// An offered block that the peer has not got by then is given up.
inline constexpr Duration kVoidAfter = std::chrono::seconds(60);

class Accept {
 public:
  // `shares`: into how many the room of the pool is divided among its sources.
  Accept(Site& site, Pool& pool, KmLink& link, OpenedLeases& opened, std::size_t shares)
      : m_site(site), m_pool(pool), m_link(link), m_opened(opened), m_shares(shares) {}

  // Blocks of drivers: those that pass are durable when it returns, and offered.
  Result<void> add(std::vector<SourceBlock> blocks);
  // A relayed block of the peer's, at its destination: as add(). False when it was refused; a repetition of one that
  // was taken is not.
  Result<bool> add_relayed(SourceBlock block);
  // A block that this KME has made and sent to the peer by relay: in stock once the peer shows that it holds the same.
  void await_relayed(SourceBlock block);

  void abandon_relayed(const BlockId& id) { m_awaited.erase(id); }

  // All of them.
  void abandon_relayed() { m_awaited.clear(); }

  // After contact: everything held is offered again.
  void repeat();

  Result<void> receive(const wire::Offer& message);
  Result<void> receive(const wire::VoidRequest& message);
  Result<void> receive_states(const std::vector<BlockId>& asked, const std::vector<BlockState>& states);

  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;

  std::uint64_t refused_blocks() const { return m_refused; }

 private:
  Result<bool> passes(const SourceBlock& block, const BlockDigest& digest);
  // With an eighth of the source's share kept free, or nothing.
  bool has_room(const SourceBlock& block, bool with_reserve) const;
  bool refuse_for_want_of_room(const SourceBlock& block);
  bool refuse(const SourceBlock& block, bool alarm, std::string_view event, std::string_view why);
  void forget_old();
  void advance_mark(const SourceBlock& block);
  BlockState settle_awaited(const wire::OfferedBlock& offered, SourceBlock mine);
  Result<BlockState> settle(const wire::OfferedBlock& offered, bool or_void);
  Result<void> answer(wire::RequestNumber number, const std::vector<wire::OfferedBlock>& blocks, bool or_void);
  std::vector<wire::OfferedBlock> describe(const std::vector<BlockId>& ids) const;
  void offer(const std::vector<BlockId>& ids);
  // In as many requests as it takes.
  template <class Request, class Sent>
  void ask(const std::vector<BlockId>& ids);

  Site& m_site;
  Pool& m_pool;
  KmLink& m_link;
  OpenedLeases& m_opened;
  std::size_t m_shares;
  std::map<BlockId, SourceBlock> m_awaited;             // sent by relay, in memory only
  std::deque<std::pair<TimePoint, BlockId>> m_missing;  // the peer did not have it; when to ask for voiding
  std::optional<WallTime> m_forgotten;                  // when old records were last dropped
  std::optional<WallTime> m_forgotten_relayed;          // the same of relayed blocks
  std::uint64_t m_refused = 0;
  std::set<std::string> m_full;  // sources of which it was said; until an eighth of the share is free again
};

}  // namespace quipu::kms
