// SPDX-License-Identifier: Apache-2.0
#include "kms/contact.h"

#include <iterator>

namespace quipu::kms {
namespace {

// Room for the message's own fields.
constexpr std::size_t kListRoom = wire::kMaxMessageSize - 16;
// Of the peer's list, besides the blocks that a pool may hold: memory that the peer fills at will until both have
// merged.
constexpr std::size_t kMaxListedLeases = 4'096;
// Spent ranges and extents of leases together. Leases are runs of slots from the two ends of the stock: a full pool of
// which each block is spent at both ends, with the 1,024 leases open at each KME that it keeps, of four sources, has
// less than a quarter of it.
constexpr std::size_t kMaxListedRanges = std::size_t{1} << 20;
// Blocks and leases that one transaction takes: SAEs and other peers wait for it.
constexpr std::size_t kMergedTogether = 128;

// Sends a list in as many messages as it takes. `list` is the message's member.
template <class M, class T>
void send_in_parts(KmLink& link, std::vector<T> entries, std::vector<T> M::* list) {
  M part;
  std::size_t size = 0;
  const auto flush = [&] {
    if (!(part.*list).empty()) link.send(std::exchange(part, {}));
    size = 0;
  };
  for (T& entry : entries) {
    const std::size_t more = wire::encoded_size(entry);
    if (size + more > kListRoom) flush();
    size += more;
    (part.*list).push_back(std::move(entry));
  }
  flush();
}

}  // namespace

bool ContactExchange::expect(Step step) {
  if (m_step == step) return true;
  m_link.close(wire::GoodbyeReason::violation, "a message of the contact came out of turn");
  return false;
}

void ContactExchange::begin() {
  m_step = Step::hello;
  m_peer_merged = false;
  forget_lists();
  m_site.rng.fill(m_nonce);
  m_link.send(wire::Hello{wire::kVersion, m_site.config.id, m_pool.peer(), m_site.instance, m_nonce,
                          static_cast<std::uint8_t>(m_pool.min_sources())});
}

void ContactExchange::forget_lists() {
  m_listed.clear();
  m_their_blocks.clear();
  m_their_leases = std::vector<wire::InventoryLease>();  // clear() would keep the room
  m_their_ranges = 0;
  m_recorded = 0;
}

Result<void> ContactExchange::receive(const wire::Hello& message) {
  if (!expect(Step::hello)) return {};
  if (message.version != wire::kVersion) {
    m_link.close(wire::GoodbyeReason::version, "the peer speaks another version of the KM link");
    return {};
  }
  if (message.sender != m_pool.peer() || message.receiver != m_site.config.id) {
    m_link.close(wire::GoodbyeReason::identity, "the peer says that it is another KME, or looks for another one");
    return {};
  }
  if (message.min_sources != m_pool.min_sources()) {
    m_link.close(wire::GoodbyeReason::combiner, "each key is combined from " + std::to_string(message.min_sources) +
                                                    " source(s) there and " + std::to_string(m_pool.min_sources()) +
                                                    " here: set combiner and min_sources alike at both ends");
    return {};
  }
  m_claimed = message.instance;
  if (m_pool.peer_instance() != m_claimed) {
    // Keys of our leases could not be fetched there: the run that opened them has ended.
    m_own.burn_all();
    QUIPU_TRY(m_pool.commit());
  }
  m_step = Step::contact;
  m_digest = m_pool.inventory_digest();
  m_link.send(wire::Contact{message.nonce, m_digest});
  return {};
}

// Whether the run on this connection, now known to be alive, may be dealt with.
Result<bool> ContactExchange::admit_run() {
  const std::optional<InstanceId> before = m_pool.peer_instance();
  QUIPU_TRY_ASSIGN(const bool retired, m_pool.is_retired(m_claimed));
  m_peer_is_cloned = retired;
  if (!retired) {
    if (before == m_claimed) return true;
    m_peer_restarted = true;
    m_pool.set_peer_instance(m_claimed, before ? std::vector{*before} : std::vector<InstanceId>{});
    m_opened.holder_restarted();
    QUIPU_TRY(m_pool.commit());
    return true;
  }
  // A run that another one had replaced is alive: the KME exists twice. Neither run is served again.
  if (before) {
    m_pool.set_peer_instance(std::nullopt, {*before});
    QUIPU_TRY(m_pool.commit());
  }
  m_site.alarm("peer_cloned",
               "two copies of the peer KME are running; both are refused: stop one of them for good, then restart the "
               "other",
               {{"peer", m_pool.peer().value()}, {"instance", m_claimed.value().text()}});
  m_link.close(wire::GoodbyeReason::two_copies, "two copies of the peer KME are running");
  return false;
}

Result<void> ContactExchange::receive(const wire::Contact& message) {
  if (!expect(Step::contact)) return {};
  if (message.nonce != m_nonce) {
    m_link.close(wire::GoodbyeReason::violation, "the peer did not repeat our nonce");
    return {};
  }
  QUIPU_TRY_ASSIGN(const bool admitted, admit_run());
  if (!admitted) return {};
  if (message.inventory == m_digest) {
    m_step = Step::done;
    m_link.set_up();
    return {};
  }
  m_step = Step::inventory;
  send_inventory();
  return {};
}

void ContactExchange::send_inventory() {
  std::vector<wire::InventoryBlock> blocks;
  for (const auto& [id, block] : m_pool.blocks()) {
    const BlockRecord& record = block.record;
    m_listed.insert(id);
    blocks.push_back({id, record.state, record.digest, record.length, record.spent.ranges()});
  }
  std::vector<wire::InventoryLease> leases;
  for (const auto& [id, lease] : m_pool.leases())
    leases.push_back({id, lease.holder, lease.holder_instance, m_own.is_pending(id), lease.extents});
  const wire::InventoryEnd end{static_cast<std::uint32_t>(blocks.size()), static_cast<std::uint32_t>(leases.size())};
  send_in_parts(m_link, std::move(blocks), &wire::InventoryBlocks::blocks);
  send_in_parts(m_link, std::move(leases), &wire::InventoryLeases::leases);
  m_link.send(end);
}

Result<void> ContactExchange::receive(const wire::InventoryBlocks& message) {
  if (!expect(Step::inventory)) return {};
  bool good = true;
  for (const wire::InventoryBlock& block : message.blocks) {
    good = m_their_blocks.emplace(block.id, block).second && good;
    m_their_ranges += block.spent.size();
  }
  if (!good || m_their_blocks.size() > kMaxPoolBlocks || m_their_ranges > kMaxListedRanges)
    m_link.close(wire::GoodbyeReason::violation, "the peer's inventory repeats a block or is too long");
  return {};
}

Result<void> ContactExchange::receive(const wire::InventoryLeases& message) {
  if (!expect(Step::inventory)) return {};
  m_their_leases.insert(m_their_leases.end(), message.leases.begin(), message.leases.end());
  for (const wire::InventoryLease& lease : message.leases)
    m_their_ranges += lease.extents.size();
  if (m_their_leases.size() > kMaxListedLeases || m_their_ranges > kMaxListedRanges)
    m_link.close(wire::GoodbyeReason::violation, "the peer's inventory lists too many leases, or too much of them");
  return {};
}

Result<void> ContactExchange::receive(const wire::InventoryEnd& message) {
  if (!expect(Step::inventory)) return {};
  if (message.blocks != m_their_blocks.size() || message.leases != m_their_leases.size()) {
    m_link.close(wire::GoodbyeReason::violation, "the peer's inventory is not complete");
    return {};
  }
  m_step = Step::merging;
  return merge_part();
}

Result<void> ContactExchange::receive(const wire::Merged& /*message*/) {
  // The peer may have less to do than we.
  if (m_step == Step::merging && !std::exchange(m_peer_merged, true)) return {};
  if (!expect(Step::merged)) return {};
  m_step = Step::done;
  m_link.set_up();
  return {};
}

bool ContactExchange::anything_to_merge() const {
  return !m_listed.empty() || !m_their_blocks.empty() || !m_their_leases.empty();
}

// Blocks and leases are merged one by one, each for itself: after a crash between two parts the next contact compares
// what is left.
Result<void> ContactExchange::merge_part() {
  for (std::size_t i = 0; i < kMergedTogether && anything_to_merge(); ++i)
    QUIPU_TRY(merge_next());
  QUIPU_TRY(m_pool.commit());
  if (anything_to_merge()) return {};
  forget_lists();
  m_link.send(wire::Merged{});
  m_step = Step::merged;
  return m_peer_merged ? receive(wire::Merged{}) : Result<void>{};
}

// Leases last: blocks that are voided are none of theirs any more.
Result<void> ContactExchange::merge_next() {
  if (!m_listed.empty() || !m_their_blocks.empty()) return merge_highest_block();
  merge_lease(m_their_leases.back());
  m_their_leases.pop_back();
  return {};
}

// The highest ids first: of void records made at one time, these are kept.
Result<void> ContactExchange::merge_highest_block() {
  if (m_their_blocks.empty() || (!m_listed.empty() && *m_listed.rbegin() > m_their_blocks.rbegin()->first)) {
    merge_missing(*m_listed.rbegin());
    m_listed.erase(std::prev(m_listed.end()));
    return {};
  }
  const auto node = m_their_blocks.extract(std::prev(m_their_blocks.end()));
  const wire::InventoryBlock& theirs = node.mapped();
  if (m_listed.erase(theirs.id) != 0) {
    merge_block(theirs);
    return {};
  }
  return theirs.state == BlockState::usable ? merge_unknown(theirs) : Result<void>{};
}

// Both ends listed it.
void ContactExchange::merge_block(const wire::InventoryBlock& theirs) {
  const Pool::Block* mine = m_pool.find(theirs.id);
  if (mine == nullptr) return;  // used up since the list was sent
  if (mine->record.digest != theirs.digest || mine->record.length != theirs.length)
    return void_block(theirs.id, "the two ends hold different octets");
  if (theirs.state != BlockState::usable) return;
  if (mine->record.state == BlockState::held) m_pool.make_usable(theirs.id);
  const RangeSet spent(theirs.spent);
  m_own.give_way(theirs.id, spent);
  m_pool.spend_free(theirs.id, spent);
}

// The peer could use it and we did not have it when the lists were made.
Result<void> ContactExchange::merge_unknown(const wire::InventoryBlock& theirs) {
  if (m_pool.find(theirs.id) != nullptr) {
    void_block(theirs.id, "one end did not know it");
    return {};
  }
  if (m_recorded == kMaxLostBlocks) return {};  // it would be dropped with the next transaction
  QUIPU_TRY_ASSIGN(const auto record, m_pool.record_of(theirs.id));
  if (record) return {};
  m_pool.add_void(theirs.id, theirs.digest, theirs.length, m_site.wall);
  ++m_recorded;
  return {};
}

// The peer does not have it: what we could use is void.
void ContactExchange::merge_missing(const BlockId& id) {
  const Pool::Block* mine = m_pool.find(id);
  if (mine != nullptr && mine->record.state == BlockState::usable) void_block(id, "one end did not know it");
}

void ContactExchange::merge_lease(const wire::InventoryLease& theirs) {
  if (theirs.pending || m_pool.find(theirs.id) != nullptr) return;
  // A lease that this end has forgotten, or never heard of before its holder's run ended: nobody may take its slots.
  for (const Extent& extent : theirs.extents) {
    const Pool::Block* mine = m_pool.find(extent.block);
    if (mine != nullptr && mine->record.state == BlockState::usable && extent.range.end() <= mine->record.length)
      m_pool.spend_free(extent.block, RangeSet({extent.range}));
  }
}

void ContactExchange::void_block(const BlockId& id, std::string_view why) {
  m_opened.void_block(id);
  m_site.report(LogLevel::warning, "block_voided", "a block was given up after comparing inventories",
                {{"peer", m_pool.peer().value()}, {"block", id.value().text()}, {"reason", std::string(why)}});
}

}  // namespace quipu::kms
