// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kms/pool.h"

namespace quipu::kms {
namespace {

void move_octets(std::uint64_t& from, std::uint64_t& to, std::uint64_t octets) {
  QUIPU_ASSERT(from >= octets);
  from -= octets;
  to += octets;
}

}  // namespace

void Pool::stage(Block& block) {
  // What it is in the end: a block with many extents of a lease is written once.
  const auto [place, fresh] = m_staged_blocks.try_emplace(block.record.id, m_staged.changes.size());
  SetBlock change{block.record.id, block.record.state, block.record.spent};
  if (fresh)
    m_staged.add(std::move(change));
  else
    m_staged.changes[place->second] = std::move(change);
  index(block);
}

void Pool::stage(const LeaseRecord& lease) {
  m_staged.add(SetLease{lease.id, lease.opener_instance, lease.closed_here, lease.closed_there});
}

void Pool::add_block(BlockRecord record, SecretBytes material) {
  QUIPU_ASSERT(record.state == BlockState::held && record.length == material.size() && !m_blocks.contains(record.id));
  m_simulated = m_simulated || record.simulated;
  m_books.received += record.length;
  m_books.held += record.length;
  const SecretBytes& kept = m_staged_material.emplace_back(std::move(material));
  m_staged.add(AddBlock{record, kept.view()});
  const BlockId id = record.id;
  index(m_blocks.emplace(id, Block{std::move(record), {}, {}, {}}).first->second);
}

void Pool::add_void(const BlockId& id, const BlockDigest& digest, std::uint32_t length, WallTime seen) {
  QUIPU_ASSERT(!m_blocks.contains(id));
  BlockRecord record;
  record.id = id;
  record.state = BlockState::voided;
  record.digest = digest;
  record.length = length;
  record.arrived = seen;
  m_staged.add(AddBlock{std::move(record), {}});
  m_trim = true;
}

void Pool::make_usable(const BlockId& id) {
  Block& block = m_blocks.at(id);
  QUIPU_ASSERT(block.record.state == BlockState::held);
  block.record.state = BlockState::usable;
  move_octets(m_books.held, m_books.stock, block.record.length);
  stage(block);
}

void Pool::void_block(const BlockId& id) {
  Block& block = m_blocks.at(id);
  if (block.record.state == BlockState::held)
    move_octets(m_books.held, m_books.voided, block.record.length);
  else
    move_octets(m_books.stock, m_books.voided, block.record.length - block.taken.size());
  for (const LeaseId& lease : block.leases)
    QUIPU_ASSERT(m_leases.at(lease).closed_here);
  block.record.state = BlockState::voided;
  stage(block);
  m_blocks.erase(id);
}

void Pool::spend_free(const BlockId& id, const RangeSet& ranges) {
  const Block& block = m_blocks.at(id);
  RangeSet fresh;
  for (const Range range : ranges.ranges())
    for (const Range gap : block.taken.missing_from(range))
      fresh.add(gap);
  if (fresh.empty()) return;
  move_octets(m_books.stock, m_books.burnt, fresh.size());
  spend(id, fresh);
}

Result<std::set<BlockId>> Pool::burn_damaged() {
  if (m_damaged.empty()) return std::set<BlockId>();
  for (const auto& [id, block] : m_blocks) {
    if (block.record.state != BlockState::usable) continue;
    for (const Range gap : block.taken.missing_from({0, block.record.length}))
      QUIPU_TRY(read({id, gap}));
  }
  std::set<BlockId> damaged = std::exchange(m_damaged, {});
  for (const BlockId& id : damaged)
    if (const Block* block = find(id)) spend_free(id, RangeSet({{0, block->record.length}}));
  return damaged;
}

void Pool::spend(const BlockId& id, const RangeSet& ranges) {
  const auto found = m_blocks.find(id);
  if (found == m_blocks.end()) return;  // voided meanwhile
  Block& block = found->second;
  block.taken.add(ranges);
  block.record.spent.add(ranges);
  if (block.record.spent.covers({0, block.record.length})) block.record.state = BlockState::used;
  stage(block);
  if (block.record.state == BlockState::used) m_blocks.erase(found);
}

// Its slots are no longer free.
void Pool::take(const LeaseRecord& lease) {
  for (const Extent& extent : lease.extents) {
    const auto block = m_blocks.find(extent.block);
    if (block == m_blocks.end()) continue;  // voided before the lease was closed
    block->second.taken.add(extent.range);
    block->second.leases.insert(lease.id);
    index(block->second);
  }
}

void Pool::add_lease(LeaseRecord lease) {
  QUIPU_ASSERT(is_free(lease.extents) && !m_leases.contains(lease.id));
  take(lease);
  move_octets(m_books.stock, m_books.leased, lease.octets());
  m_staged.add(AddLease{lease});
  const LeaseId id = lease.id;
  m_leases.emplace(id, std::move(lease));
}

void Pool::cancel_lease(const LeaseId& id) {
  const LeaseRecord& lease = m_leases.at(id);
  QUIPU_ASSERT(lease.holder == Holder::us && !lease.closed_here && !lease.opener_instance);
  for (const Extent& extent : lease.extents) {
    Block& block = m_blocks.at(extent.block);
    block.taken.remove(extent.range);
    block.leases.erase(id);
    index(block);
  }
  move_octets(m_books.leased, m_books.stock, lease.octets());
  m_staged.add(RemoveLease{id});
  m_leases.erase(id);
}

void Pool::set_opener(const LeaseId& id, const InstanceId& opener) {
  LeaseRecord& lease = m_leases.at(id);
  lease.opener_instance = opener;
  stage(lease);
}

void Pool::close_here(const LeaseId& id, const LeaseUse& use) {
  LeaseRecord& lease = m_leases.at(id);
  QUIPU_ASSERT(!lease.closed_here && use.total() <= lease.key_octets());
  lease.closed_here = true;
  const std::uint64_t sources = lease.octets() / lease.key_octets();
  move_octets(m_books.leased, m_books.delivered, use.delivered * sources);
  move_octets(m_books.leased, m_books.consumed, use.consumed * sources);
  move_octets(m_books.leased, m_books.expired, use.expired * sources);
  move_octets(m_books.leased, m_books.burnt, lease.octets() - use.total() * sources);
  stage(lease);
  if (lease.closed_there) m_ended.push_back(id);
  finish_if_closed(id);
}

void Pool::close_there(const LeaseId& id) {
  LeaseRecord& lease = m_leases.at(id);
  if (lease.closed_there) return;
  lease.closed_there = true;
  stage(lease);
  finish_if_closed(id);
}

void Pool::finish_if_closed(const LeaseId& id) {
  const LeaseRecord& lease = m_leases.at(id);
  if (!lease.closed_here || !lease.closed_there) return;
  for (const Extent& extent : lease.extents) {
    if (const auto block = m_blocks.find(extent.block); block != m_blocks.end()) block->second.leases.erase(id);
    spend(extent.block, RangeSet({extent.range}));
  }
  m_staged.add(RemoveLease{id});
  m_leases.erase(id);
}

void Pool::set_peer_instance(std::optional<InstanceId> current, std::vector<InstanceId> retired) {
  m_peer_instance = current;
  m_staged.add(SetPeerInstance{current, std::move(retired)});
  m_trim = true;
}

void Pool::set_mark(const std::string& source, std::uint64_t mark) {
  m_marks[source] = mark;
  m_staged.add(SetSourceMark{source, mark});
}

void Pool::forget_blocks(WallTime arrived_before, std::string source) {
  m_staged.add(ForgetBlocks{arrived_before, std::move(source)});
}

Result<void> Pool::commit() {
  if (m_staged.changes.empty()) return {};
  QUIPU_ASSERT(m_books.balanced());
  if (std::exchange(m_trim, false)) m_staged.add(Trim{kMaxLostBlocks, kMaxRetired});
  m_staged.add(m_books);
  auto result = m_store->commit(m_staged);
  m_staged.changes.clear();
  m_staged_blocks.clear();
  m_staged_material.clear();
  return result;
}

}  // namespace quipu::kms
