// SPDX-License-Identifier: Apache-2.0
#include "kms/pool.h"

#include <algorithm>

#include "crypto/hash.h"

namespace quipu::kms {
namespace {

bool overlap(const Extent& a, const Extent& b) {
  return a.block == b.block && a.range.offset < b.range.end() && b.range.offset < a.range.end();
}

}  // namespace

Result<Pool> Pool::open(KmeId peer, std::uint32_t min_sources, SourceNames sources, Store& store) {
  QUIPU_TRY_ASSIGN(StoredPool stored, store.load(peer));
  Pool pool(std::move(peer), min_sources, std::move(sources), store);
  QUIPU_TRY(pool.adopt(std::move(stored)));
  return pool;
}

Result<void> Pool::adopt(StoredPool stored) {
  if (!stored.books.balanced()) return damaged("books do not balance");
  m_books = stored.books;
  m_peer_instance = stored.peer_instance;
  for (const SourceMark& mark : stored.marks)
    m_marks[mark.source] = mark.mark;
  for (BlockRecord& record : stored.blocks) {
    m_simulated = m_simulated || record.simulated;
    const BlockId id = record.id;
    RangeSet taken = record.spent;
    m_blocks.emplace(id, Block{std::move(record), std::move(taken), {}, {}});
  }
  for (LeaseRecord& lease : stored.leases) {
    QUIPU_TRY(check(lease));
    take(lease);
    const LeaseId id = lease.id;
    m_leases.emplace(id, std::move(lease));
  }
  for (auto& [id, block] : m_blocks)
    index(block);
  return check_books();
}

std::unexpected<Error> Pool::damaged(std::string_view what) const {
  return fail(Errc::storage, "the store's " + std::string(what) + " of the pool with " + m_peer.value());
}

// Slots that are taken twice would break the books at some later change.
Result<void> Pool::check(const LeaseRecord& lease) const {
  std::map<BlockId, RangeSet> mine;
  for (const Extent& extent : lease.extents) {
    const Block* block = find(extent.block);
    if (block == nullptr) continue;  // voided before the lease was closed
    RangeSet& taken = mine.try_emplace(extent.block, block->taken).first->second;
    if (block->record.state != BlockState::usable || extent.range.end() > block->record.length ||
        taken.overlaps(extent.range))
      return damaged("leases contradict the blocks");
    taken.add(extent.range);
  }
  return {};
}

// What the books say against what is there: everything later trusts them.
Result<void> Pool::check_books() const {
  Books rows;
  for (const auto& [id, block] : m_blocks) {
    if (block.record.state == BlockState::held) rows.held += block.record.length;
    if (block.record.state == BlockState::usable) rows.stock += block.record.length - block.taken.size();
  }
  for (const auto& [id, lease] : m_leases)
    if (!lease.closed_here) rows.leased += lease.octets();
  if (rows.held != m_books.held || rows.stock != m_books.stock || rows.leased != m_books.leased)
    return damaged("books contradict the blocks and leases");
  return {};
}

const Pool::Block* Pool::find(const BlockId& id) const {
  const auto found = m_blocks.find(id);
  return found == m_blocks.end() ? nullptr : &found->second;
}

const LeaseRecord* Pool::find(const LeaseId& id) const {
  const auto found = m_leases.find(id);
  return found == m_leases.end() ? nullptr : &found->second;
}

Result<std::optional<BlockRecord>> Pool::record_of(const BlockId& id) const {
  if (const Block* block = find(id)) return block->record;
  return m_store->find_block(m_peer, id);
}

Result<bool> Pool::has_digest(const BlockDigest& digest) const {
  return m_store->has_digest(m_peer, digest);
}

Result<bool> Pool::is_elsewhere(const BlockId& id, const BlockDigest& digest) const {
  return m_store->is_elsewhere(m_peer, id, digest);
}

Result<bool> Pool::is_retired(const InstanceId& instance) const {
  return m_store->is_retired(m_peer, instance);
}

bool Pool::is_passed(const std::string& source, std::uint64_t sequence) const {
  const auto mark = m_marks.find(source);
  return mark != m_marks.end() && sequence < mark->second;
}

bool Pool::is_usable(const std::vector<Extent>& extents) const {
  return std::ranges::all_of(extents, [&](const Extent& e) {
    const Block* block = find(e.block);
    return block != nullptr && block->record.state == BlockState::usable && e.range.end() <= block->record.length;
  });
}

bool Pool::is_free(const std::vector<Extent>& extents) const {
  std::map<BlockId, RangeSet> seen;  // an extent may not overlap another of the same list either
  return is_usable(extents) && std::ranges::all_of(extents, [&](const Extent& e) {
           RangeSet& mine = seen[e.block];
           if (mine.overlaps(e.range) || find(e.block)->taken.overlaps(e.range)) return false;
           mine.add(e.range);
           return true;
         });
}

std::optional<std::vector<LeaseId>> Pool::leases_over(const std::vector<Extent>& extents) const {
  if (!is_usable(extents)) return std::nullopt;
  std::set<LeaseId> found;
  for (const Extent& wanted : extents) {
    if (find(wanted.block)->record.spent.overlaps(wanted.range)) return std::nullopt;
    for (const LeaseId& id : leases_on(wanted.block))
      if (std::ranges::any_of(m_leases.at(id).extents, [&](const Extent& e) { return overlap(e, wanted); }))
        found.insert(id);
  }
  return std::vector<LeaseId>(found.begin(), found.end());
}

std::set<LeaseId> Pool::leases_on(const BlockId& id) const {
  const Block* block = find(id);
  return block == nullptr ? std::set<LeaseId>{} : block->leases;
}

BlockDigest Pool::inventory_digest() const {
  Bytes text;
  for (const auto& [id, block] : m_blocks) {
    if (block.record.state != BlockState::usable) continue;
    const auto& ranges = block.taken.ranges();
    const std::size_t begin = text.size();
    text.resize(begin + 16 + block.record.digest.size() + 4 + ranges.size() * 8);
    ByteWriter writer(MutableBytes(text).subspan(begin));
    writer.bytes(id.value().octets).bytes(block.record.digest).u32(static_cast<std::uint32_t>(ranges.size()));
    for (const Range range : ranges)
      writer.u32(range.offset).u32(range.length);
    QUIPU_ASSERT(writer.ok());
  }
  return crypto::blake2b_256({as_bytes("quipu km-link inventory v1"), text});
}

}  // namespace quipu::kms
