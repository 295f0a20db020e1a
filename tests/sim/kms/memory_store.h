// SPDX-License-Identifier: Apache-2.0
// A Store in memory that models a disk: what commit() returned for is there after a crash, and a crash may strike just
// before or just after the disk has it. Checks that it is used as store.h says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "kms/store.h"

namespace quipu::kms::sim {

// Thrown out of commit() when the power fails there; whoever runs the KME drops it.
struct PowerLoss {};

class MemoryStore final : public Store {
 public:
  struct PoolDisk {
    std::map<BlockId, BlockRecord> blocks;
    std::map<BlockId, Bytes> material;
    std::set<BlockId> altered;  // blocks whose sealed material was changed: it does not open
    std::map<LeaseId, LeaseRecord> leases;
    Books books;
    std::optional<InstanceId> peer_instance;
    std::vector<InstanceId> retired;  // in that order
    std::map<std::string, std::uint64_t> marks;
  };

  using Disk = std::map<KmeId, PoolDisk>;

  enum class Strike : std::uint8_t { none, before, after };

  // A copy, for a restore or a clone.
  Disk disk() const { return m_disk; }

  void restore(Disk disk) { m_disk = std::move(disk); }

  std::map<KmeId, Books> books() const {
    std::map<KmeId, Books> out;
    for (const auto& [pool, disk] : m_disk)
      out[pool] = disk.books;
    return out;
  }

  // Told of what the disk has.
  std::function<void(const Transaction&)> on_commit = [](const Transaction&) {};

  // The power fails in the n-th commit from now (1: the next).
  void strike(unsigned nth, Strike when) {
    m_countdown = nth;
    m_strike = when;
  }

  void calm() { m_strike = Strike::none; }

  void fail_with(std::optional<Error> error) { m_error = std::move(error); }

  void alter(const KmeId& pool, const BlockId& id) { m_disk[pool].altered.insert(id); }

  std::size_t commits() const { return m_commits; }

  // Of all commits.
  std::size_t changes() const { return m_changes; }

  Result<void> commit(const Transaction& transaction) override {
    if (m_error) return std::unexpected(*m_error);
    const bool struck = m_strike != Strike::none && --m_countdown == 0;
    if (struck && m_strike == Strike::before) throw_power_loss();
    PoolDisk next = m_disk[transaction.pool];
    for (const Change& change : transaction.changes)
      if (auto done = std::visit([&](const auto& c) { return apply(next, c); }, change); !done) return done;
    check(next);
    m_disk[transaction.pool] = std::move(next);
    on_commit(transaction);
    ++m_commits;
    m_changes += transaction.changes.size();
    if (struck) throw_power_loss();
    return {};
  }

  Result<StoredPool> load(const KmeId& pool) override {
    const PoolDisk& disk = m_disk[pool];
    StoredPool out;
    for (const auto& [id, block] : disk.blocks)
      if (block.state == BlockState::held || block.state == BlockState::usable) out.blocks.push_back(block);
    for (const auto& [id, lease] : disk.leases)
      out.leases.push_back(lease);
    out.books = disk.books;
    out.peer_instance = disk.peer_instance;
    for (const auto& [source, mark] : disk.marks)
      out.marks.push_back({source, mark});
    return out;
  }

  Result<std::optional<BlockRecord>> find_block(const KmeId& pool, const BlockId& id) override {
    const auto& blocks = m_disk[pool].blocks;
    const auto found = blocks.find(id);
    return found == blocks.end() ? std::nullopt : std::optional(found->second);
  }

  Result<bool> has_digest(const KmeId& pool, const BlockDigest& digest) override {
    for (const auto& [id, block] : m_disk[pool].blocks)
      if (block.digest == digest) return true;
    return false;
  }

  Result<bool> is_elsewhere(const KmeId& pool, const BlockId& id, const BlockDigest& digest) override {
    return std::ranges::any_of(m_disk, [&](const auto& each) {
      return each.first != pool && std::ranges::any_of(each.second.blocks, [&](const auto& entry) {
               const BlockRecord& block = entry.second;
               const bool is_of_a_device = !block.source.empty() && block.source != kRelaySource;
               return (is_of_a_device && block.id == id) || (!block.source.empty() && block.digest == digest);
             });
    });
  }

  Result<bool> is_retired(const KmeId& pool, const InstanceId& instance) override {
    return is_among(instance, m_disk[pool].retired);
  }

  Result<SecretBytes> read(const KmeId& pool, const BlockId& id, Range range) override {
    if (m_error) return std::unexpected(*m_error);
    const PoolDisk& disk = m_disk[pool];
    if (disk.altered.contains(id)) return fail(Errc::authentication, "sealed key material does not open");
    const auto found = disk.material.find(id);
    if (found == disk.material.end()) return fail(Errc::not_found, "material is gone");
    for (std::uint32_t chunk = range.offset / kChunkSize * kChunkSize; chunk < range.end(); chunk += kChunkSize)
      if (chunk_gone(disk.blocks.at(id), chunk)) return fail(Errc::not_found, "chunk is gone");
    return SecretBytes::copy_of(ByteView(found->second).subspan(range.offset, range.length));
  }

 private:
  [[noreturn]] void throw_power_loss() {
    m_strike = Strike::none;
    throw PowerLoss{};
  }

  static bool chunk_gone(const BlockRecord& block, std::uint32_t chunk) {
    return block.spent.covers({chunk, std::min(kChunkSize, block.length - chunk)});
  }

  static Result<void> apply(PoolDisk& disk, const AddBlock& c) {
    if (disk.blocks.contains(c.record.id)) return fail(Errc::duplicate, "block is there");
    EXPECT_TRUE(c.material.empty() || c.material.size() == c.record.length);
    disk.blocks[c.record.id] = c.record;
    if (!c.material.empty()) disk.material[c.record.id] = Bytes(c.material.begin(), c.material.end());
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const SetBlock& c) {
    const auto found = disk.blocks.find(c.id);
    if (found == disk.blocks.end()) return fail(Errc::not_found, "no such block");
    // Records only grow older.
    EXPECT_GE(c.state, found->second.state);
    for (const Range range : found->second.spent.ranges())
      EXPECT_TRUE(c.spent.covers(range));
    found->second.state = c.state;
    found->second.spent = c.spent;
    if (c.state == BlockState::used || c.state == BlockState::voided) disk.material.erase(c.id);
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const AddLease& c) {
    if (disk.leases.contains(c.lease.id)) return fail(Errc::duplicate, "lease is there");
    disk.leases[c.lease.id] = c.lease;
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const SetLease& c) {
    const auto found = disk.leases.find(c.id);
    if (found == disk.leases.end()) return fail(Errc::not_found, "no such lease");
    EXPECT_TRUE(!found->second.opener_instance || found->second.opener_instance == c.opener_instance);
    found->second.opener_instance = c.opener_instance;
    found->second.closed_here = c.closed_here;
    found->second.closed_there = c.closed_there;
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const RemoveLease& c) {
    if (disk.leases.erase(c.id) == 0) return fail(Errc::not_found, "no such lease");
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const SetPeerInstance& c) {
    disk.peer_instance = c.current;
    for (const InstanceId& id : c.retired)
      if (!is_among(id, disk.retired)) disk.retired.push_back(id);
    EXPECT_TRUE(!c.current || !is_among(*c.current, disk.retired));
    return {};
  }

  static bool is_among(const InstanceId& id, const std::vector<InstanceId>& list) {
    return std::ranges::find(list, id) != list.end();
  }

  static bool gone(const BlockRecord& block) {
    return block.state == BlockState::used || block.state == BlockState::voided;
  }

  static Result<void> apply(PoolDisk& disk, const SetSourceMark& c) {
    disk.marks[c.source] = c.mark;
    std::erase_if(disk.blocks, [&](const auto& entry) {
      const BlockRecord& block = entry.second;
      return gone(block) && block.source == c.source && block.sequence && *block.sequence < c.mark;
    });
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const ForgetBlocks& c) {
    std::erase_if(disk.blocks, [&](const auto& entry) {
      return gone(entry.second) && !entry.second.sequence && entry.second.arrived < c.before &&
             (c.source.empty() || entry.second.source == c.source);
    });
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const Trim& c) {
    std::set<std::pair<WallTime, BlockId>> lost;
    for (const auto& [id, block] : disk.blocks)
      if (gone(block) && block.source.empty()) lost.emplace(block.arrived, id);
    for (; lost.size() > c.lost_blocks; lost.erase(lost.begin()))
      disk.blocks.erase(lost.begin()->second);
    if (disk.retired.size() > c.retired)
      disk.retired.erase(disk.retired.begin(), disk.retired.end() - static_cast<std::ptrdiff_t>(c.retired));
    return {};
  }

  static Result<void> apply(PoolDisk& disk, const Books& c) {
    disk.books = c;
    return {};
  }

  // Books against rows: what they say is what is there.
  static void check(const PoolDisk& disk) {
    Books rows;
    std::map<BlockId, RangeSet> taken;
    for (const auto& [id, lease] : disk.leases) {
      if (!lease.closed_here) rows.leased += lease.octets();
      for (const Extent& extent : lease.extents) {
        EXPECT_FALSE(taken[extent.block].overlaps(extent.range)) << "two leases over one slot";
        taken[extent.block].add(extent.range);
      }
    }
    for (const auto& [id, block] : disk.blocks) {
      if (block.state == BlockState::held) rows.held += block.length;
      if (block.state != BlockState::usable) continue;
      RangeSet& all = taken[id];
      all.add(block.spent);
      rows.stock += block.length - all.size();
    }
    EXPECT_TRUE(disk.books.balanced());
    EXPECT_EQ(disk.books.held, rows.held);
    EXPECT_EQ(disk.books.stock, rows.stock);
    EXPECT_EQ(disk.books.leased, rows.leased);
  }

  Disk m_disk;
  Strike m_strike = Strike::none;
  unsigned m_countdown = 0;
  std::optional<Error> m_error;
  std::size_t m_commits = 0;
  std::size_t m_changes = 0;
};

}  // namespace quipu::kms::sim
