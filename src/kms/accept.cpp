// SPDX-License-Identifier: Apache-2.0
#include "kms/accept.h"

#include <algorithm>
#include <set>

#include "crypto/hash.h"

namespace quipu::kms {
namespace {

// Blocks may come out of order by so many; older ones are repetitions.
constexpr std::uint64_t kReorderWindow = 1'024;
// The mark is moved in steps, to write it seldom.
constexpr std::uint64_t kMarkStep = 256;

// For records of blocks whose source has no count that goes on.
constexpr auto kForgetAfter = std::chrono::days(30);
constexpr auto kForgetInterval = std::chrono::hours(1);
// For records of relayed blocks, of which there may be a hundred a second: a copy that comes later is of no use, since
// only a source that awaits or holds a block lets the other end have it.
constexpr auto kForgetRelayedAfter = std::chrono::hours(1);
constexpr auto kForgetRelayedInterval = std::chrono::minutes(1);

// Once in an interval, and where the clock went back.
bool is_due(std::optional<WallTime>& last, WallTime now, Duration interval) {
  if (last && now >= *last && now - *last < interval) return false;
  last = now;
  return true;
}

// Constant time in the contents.
bool is_all_zero(ByteView octets) {
  std::uint8_t any = 0;
  for (const std::uint8_t octet : octets)
    any |= octet;
  return any == 0;
}

// Whole slots, which both ends do alike. There is one at least.
SourceBlock cut(SourceBlock block) {
  const std::size_t size = block.key.size() / kSlotSize * kSlotSize;
  if (size != block.key.size()) block.key = SecretBytes::copy_of(block.key.view().first(size));
  return block;
}

}  // namespace

bool Accept::refuse(const SourceBlock& block, bool alarm, std::string_view event, std::string_view why) {
  ++m_refused;
  m_site.act(Report{alarm ? LogLevel::error : LogLevel::warning,
                    alarm,
                    event,
                    why,
                    {{"link", block.source}, {"peer", m_pool.peer().value()}, {"block", block.id.value().text()}}});
  return false;
}

Result<bool> Accept::passes(const SourceBlock& block, const BlockDigest& digest) {
  if (is_all_zero(block.key.view())) return refuse(block, true, "block_zero", "a block of zeros was refused");
  if (block.sequence && m_pool.is_passed(block.source, *block.sequence))
    return refuse(block, true, "block_stale", "a block older than its source's count was refused");
  QUIPU_TRY_ASSIGN(const auto record, m_pool.record_of(block.id));
  if (record && record->state == BlockState::voided && record->source.empty())
    return refuse(block, false, "block_late", "a block came after it had been given up for lost");
  if (record) return refuse(block, true, "block_repeated", "a block that was here before was refused");
  QUIPU_TRY_ASSIGN(const bool seen, m_pool.has_digest(digest));
  if (seen) return refuse(block, true, "block_equal", "a block with the octets of an earlier one was refused");
  QUIPU_TRY_ASSIGN(const bool elsewhere, m_pool.is_elsewhere(block.id, digest));
  if (elsewhere)
    return refuse(block, true, "block_elsewhere",
                  "a block that the pool with another KME has had was refused: two KMEs must not share a key; look at "
                  "what delivers it: no device may feed two links, and no two may use the same block ids");
  if (!has_room(block, false)) return refuse_for_want_of_room(block);
  if (has_room(block, true)) m_full.erase(block.source);
  return true;
}

bool Accept::has_room(const SourceBlock& block, bool with_reserve) const {
  const Pool::Stock stock = m_pool.stock_of(block.source);
  const auto share = [&](std::uint64_t limit) {
    limit /= m_shares;
    return with_reserve ? limit - limit / 8 : limit;
  };
  return stock.held + stock.free + block.key.size() <= share(m_site.config.limits.pool_octets) &&
         stock.blocks < share(kMaxPoolBlocks) && m_pool.blocks().size() < kMaxPoolBlocks;
}

// A pool that nobody draws much from, or that one source fills while the others are dead, is full for good, and at its
// brim each key makes room for a moment.
bool Accept::refuse_for_want_of_room(const SourceBlock& block) {
  if (m_full.insert(block.source).second)
    return refuse(block, false, "pool_full", "the pool is full: blocks are refused until keys have been taken from it");
  ++m_refused;
  return false;
}

void Accept::advance_mark(const SourceBlock& block) {
  if (!block.sequence || *block.sequence < kReorderWindow + kMarkStep) return;
  const std::uint64_t mark = *block.sequence - kReorderWindow;
  if (!m_pool.is_passed(block.source, mark - kMarkStep)) m_pool.set_mark(block.source, mark);
}

Result<void> Accept::add(std::vector<SourceBlock> blocks) {
  std::vector<BlockId> fresh;
  std::set<BlockDigest> digests;  // of this call: the store does not know them yet
  for (SourceBlock& raw : blocks) {
    if (raw.key.size() < kSlotSize || raw.key.size() > kMaxBlockSize) {
      refuse(raw, true, "block_size", "a block that is too short or too long was refused");
      continue;
    }
    SourceBlock block = cut(std::move(raw));
    const BlockDigest digest = crypto::blake2b_256({block.key.view()});
    QUIPU_TRY_ASSIGN(const bool good, passes(block, digest));
    if (!good) continue;
    if (!digests.insert(digest).second) {
      refuse(block, true, "block_equal", "a block with the octets of an earlier one was refused");
      continue;
    }
    advance_mark(block);
    const auto length = static_cast<std::uint32_t>(block.key.size());
    m_pool.add_block(
        {block.id, BlockState::held, digest, length, block.source, block.sequence, block.simulated, m_site.wall, {}},
        std::move(block.key));
    fresh.push_back(block.id);
  }
  forget_old();
  QUIPU_TRY(m_pool.commit());
  offer(fresh);
  return {};
}

Result<bool> Accept::add_relayed(SourceBlock block) {
  const BlockId id = block.id;
  QUIPU_TRY_ASSIGN(const auto record, m_pool.record_of(id));
  if (record && record->digest == crypto::blake2b_256({block.key.view()})) return true;
  std::vector<SourceBlock> blocks;
  blocks.push_back(std::move(block));
  QUIPU_TRY(add(std::move(blocks)));
  return !record && m_pool.find(id) != nullptr;
}

void Accept::await_relayed(SourceBlock block) {
  const BlockId id = block.id;
  m_awaited.emplace(id, std::move(block));
}

// Staged only.
BlockState Accept::settle_awaited(const wire::OfferedBlock& offered, SourceBlock mine) {
  const BlockDigest digest = crypto::blake2b_256({mine.key.view()});
  const bool same = offered.digest == digest && offered.length == mine.key.size();
  m_site.relay_events.emplace_back(RelayEnded{m_pool.peer(), offered.id, same});
  if (!same) {
    m_site.alarm("relay_differs",
                 "the destination of a relayed block holds other octets than were sent: some trusted node on its path "
                 "altered it; the block was voided",
                 {{"peer", m_pool.peer().value()}, {"block", offered.id.value().text()}});
    m_pool.add_void(offered.id, offered.digest, offered.length, m_site.wall);
    return BlockState::voided;
  }
  m_pool.add_block(
      {mine.id, BlockState::held, digest, offered.length, mine.source, mine.sequence, mine.simulated, m_site.wall, {}},
      std::move(mine.key));
  m_pool.make_usable(mine.id);
  return BlockState::usable;
}

void Accept::forget_old() {
  if (is_due(m_forgotten, m_site.wall, kForgetInterval)) m_pool.forget_blocks(m_site.wall - kForgetAfter);
  if (is_due(m_forgotten_relayed, m_site.wall, kForgetRelayedInterval))
    m_pool.forget_blocks(m_site.wall - kForgetRelayedAfter, std::string(kRelaySource));
}

std::vector<wire::OfferedBlock> Accept::describe(const std::vector<BlockId>& ids) const {
  std::vector<wire::OfferedBlock> out;
  for (const BlockId& id : ids) {
    const BlockRecord& record = m_pool.find(id)->record;
    out.push_back({id, record.digest, record.length});
  }
  return out;
}

template <class Request, class Sent>
void Accept::ask(const std::vector<BlockId>& ids) {
  for (std::size_t at = 0; at < ids.size(); at += wire::kMaxBlocksPerOffer) {
    const std::size_t count = std::min(wire::kMaxBlocksPerOffer, ids.size() - at);
    const std::vector<BlockId> part(ids.begin() + static_cast<std::ptrdiff_t>(at),
                                    ids.begin() + static_cast<std::ptrdiff_t>(at + count));
    m_link.request(Request{{}, describe(part)}, Sent{part});
  }
}

void Accept::offer(const std::vector<BlockId>& ids) {
  if (!m_link.up()) return;
  std::vector<BlockId> relayed;
  std::vector<BlockId> others;
  for (const BlockId& id : ids)
    (m_pool.find(id)->record.source == kRelaySource ? relayed : others).push_back(id);
  ask<wire::Offer, OfferSent>(others);
  ask<wire::VoidRequest, VoidRequestSent>(relayed);
}

void Accept::repeat() {
  m_missing.clear();
  std::vector<BlockId> held;
  for (const auto& [id, block] : m_pool.blocks())
    if (block.record.state == BlockState::held) held.push_back(id);
  offer(held);
}

// Our state of a block that the peer holds, after learning that it does. Staged only.
Result<BlockState> Accept::settle(const wire::OfferedBlock& offered, bool or_void) {
  if (const Pool::Block* mine = m_pool.find(offered.id)) {
    if (mine->record.digest != offered.digest || mine->record.length != offered.length) {
      m_site.alarm(
          "block_differs", "the two ends hold different octets under one block id; the block was voided",
          {{"link", mine->record.source}, {"peer", m_pool.peer().value()}, {"block", offered.id.value().text()}});
      m_opened.void_block(offered.id);
      return BlockState::voided;
    }
    if (mine->record.state == BlockState::held) m_pool.make_usable(offered.id);
    return BlockState::usable;
  }
  if (auto awaited = m_awaited.extract(offered.id); !awaited.empty())
    return settle_awaited(offered, std::move(awaited.mapped()));
  QUIPU_TRY_ASSIGN(const auto record, m_pool.record_of(offered.id));
  if (record) return record->state;
  if (!or_void) return BlockState::unknown;
  m_pool.add_void(offered.id, offered.digest, offered.length, m_site.wall);
  return BlockState::voided;
}

Result<void> Accept::answer(wire::RequestNumber number, const std::vector<wire::OfferedBlock>& blocks, bool or_void) {
  std::set<BlockId> ids;
  for (const wire::OfferedBlock& block : blocks)
    ids.insert(block.id);
  if (ids.size() != blocks.size()) {
    m_link.close(wire::GoodbyeReason::violation, "an offer names a block twice");
    return {};
  }
  wire::BlockStates states;
  states.number = number;
  for (const wire::OfferedBlock& block : blocks) {
    QUIPU_TRY_ASSIGN(const BlockState state, settle(block, or_void));
    states.states.push_back(state);
  }
  forget_old();
  QUIPU_TRY(m_pool.commit());
  m_link.send(std::move(states));
  return {};
}

Result<void> Accept::receive(const wire::Offer& message) {
  return answer(message.number, message.blocks, false);
}

Result<void> Accept::receive(const wire::VoidRequest& message) {
  return answer(message.number, message.blocks, true);
}

Result<void> Accept::receive_states(const std::vector<BlockId>& asked, const std::vector<BlockState>& states) {
  if (asked.size() != states.size()) {
    m_link.close(wire::GoodbyeReason::violation, "an answer to an offer has another length");
    return {};
  }
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Pool::Block* mine = m_pool.find(asked[i]);
    if (mine == nullptr) continue;
    if (states[i] == BlockState::used || states[i] == BlockState::voided)
      m_opened.void_block(asked[i]);
    else if (mine->record.state != BlockState::held)
      continue;
    else if (states[i] == BlockState::usable)
      m_pool.make_usable(asked[i]);
    else
      m_missing.emplace_back(m_site.now + kVoidAfter, asked[i]);
  }
  return m_pool.commit();
}

void Accept::handle_timeout() {
  std::vector<BlockId> overdue;
  while (!m_missing.empty() && m_missing.front().first <= m_site.now) {
    const BlockId id = m_missing.front().second;
    m_missing.pop_front();
    const Pool::Block* mine = m_pool.find(id);
    if (mine != nullptr && mine->record.state == BlockState::held) overdue.push_back(id);
  }
  if (m_link.up()) ask<wire::VoidRequest, VoidRequestSent>(overdue);  // else they are offered again after contact
}

std::optional<TimePoint> Accept::next_deadline() const {
  if (m_missing.empty()) return std::nullopt;
  return m_missing.front().first;
}

}  // namespace quipu::kms
