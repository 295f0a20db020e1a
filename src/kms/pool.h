// SPDX-License-Identifier: Apache-2.0
// The ledger of one pool: blocks, leases and books, in memory and in the store. Each change moves memory and is staged;
// commit() makes all staged changes durable in one transaction. Nothing of a change may be told to anybody, or handed
// out, before its commit() succeeded; after a failed one the run is over (memory is ahead of the disk).
//
// Asserts that changes are possible: callers ask first.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "kms/store.h"

namespace quipu::kms {

class Pool {
 public:
  using SourceNames = std::set<std::string, std::less<>>;

  // What there is of one source; of all sources together where keys are not combined.
  struct Stock {
    std::size_t blocks = 0;  // held and usable
    std::uint64_t held = 0;  // octets
    std::uint64_t free = 0;  // octets, for leases
    std::uint64_t all = 0;   // octets of the blocks, spent ones among them

    Stock& operator+=(const Stock& other);
    Stock& operator-=(const Stock& other);
  };

  struct Block {
    BlockRecord record;
    RangeSet taken;            // spent slots and those of all leases
    std::set<LeaseId> leases;  // that touch it
    Stock counted;             // in its stream
  };

  // Each key is combined from `min_sources` (PeerConfig) of these sources. Blocks of others, whose link was renamed or
  // removed, stay unused then: under two names one device must not count as two.
  static Result<Pool> open(KmeId peer, std::uint32_t min_sources, SourceNames sources, Store& store);

  const KmeId& peer() const { return m_peer; }

  const Books& books() const { return m_books; }

  std::uint32_t min_sources() const { return m_min_sources; }

  // Of that source; of all together where keys are not combined.
  Stock stock_of(std::string_view source) const;
  // By the name of the source, where keys are combined: those that count, and others of which there is something.
  std::map<std::string, Stock> stocks() const;
  // How many keys of so many slots leases could be made for: each takes so many of min_sources different sources.
  std::uint64_t keys(std::uint32_t slots_per_key) const;

  // The same in octets, of keys of one slot.
  std::uint64_t key_octets() const { return keys(1) * kSlotSize; }

  // How much of so many octets a pool has room for, when further blocks are as long as those in it, on average.
  std::uint64_t capacity(std::uint64_t octets) const;

  // Some material that this run had or has came from a simulated device.
  bool simulated() const { return m_simulated; }

  const std::optional<InstanceId>& peer_instance() const { return m_peer_instance; }

  // Held and usable blocks.
  const std::map<BlockId, Block>& blocks() const { return m_blocks; }

  // Those not yet closed at both ends.
  const std::map<LeaseId, LeaseRecord>& leases() const { return m_leases; }

  const Block* find(const BlockId& id) const;
  const LeaseRecord* find(const LeaseId& id) const;
  // Looks into the store for blocks that are gone.
  Result<std::optional<BlockRecord>> record_of(const BlockId& id) const;
  Result<bool> has_digest(const BlockDigest& digest) const;
  // That another pool has had it, under this id or another one.
  Result<bool> is_elsewhere(const BlockId& id, const BlockDigest& digest) const;
  Result<bool> is_retired(const InstanceId& instance) const;
  // True when the source's durable sequence has passed it: a repetition whose record may be gone.
  bool is_passed(const std::string& source, std::uint64_t sequence) const;

  // True when every slot lies in usable blocks and none is taken.
  bool is_free(const std::vector<Extent>& extents) const;
  bool is_usable(const std::vector<Extent>& extents) const;
  // Leases of either holder that overlap these extents; empty optional when a spent slot does, or one of a block that
  // is not usable.
  std::optional<std::vector<LeaseId>> leases_over(const std::vector<Extent>& extents) const;
  // True when they are min_sources equal parts of so many different sources, for so many slots of key. All are usable.
  bool is_combination(const std::vector<Extent>& extents, std::size_t slots) const;
  // For up to `number` such keys, of each of the min_sources fullest sources: free slots from the low end (oldest
  // first) or the high end of its stock. For at least one if there are any, and for fewer than `number` where more
  // would leave stock of which no keys could be made.
  std::vector<Extent> choose(std::uint32_t slots_per_key, std::uint32_t number, bool from_low_end) const;
  // Leases that touch a block.
  std::set<LeaseId> leases_on(const BlockId& id) const;
  // Of the usable blocks with their taken slots, in the order of ids: equal at both ends when they know the same.
  BlockDigest inventory_digest() const;

  // --- changes ---

  // Durable for the first time: record.state is held.
  void add_block(BlockRecord record, SecretBytes material);
  // A void record for a block of the peer's that has none here.
  void add_void(const BlockId& id, const BlockDigest& digest, std::uint32_t length, WallTime seen);
  // held -> usable.
  void make_usable(const BlockId& id);
  // held or usable -> voided. Open leases on it have been closed before.
  void void_block(const BlockId& id);
  // Free slots that the other end knows to be gone. Slots that are taken already are left as they are.
  void spend_free(const BlockId& id, const RangeSet& ranges);
  // When material did not open since the last call, opens all that is free, for where one block is damaged others may
  // be; spends what is free of those that do not open, and tells which these are.
  Result<std::set<BlockId>> burn_damaged();

  void add_lease(LeaseRecord lease);
  // Never acknowledged: its slots are free again.
  void cancel_lease(const LeaseId& id);
  // Our lease, and the other end told which run of it opened it; or theirs, opened here.
  void set_opener(const LeaseId& id, const InstanceId& opener);
  void close_here(const LeaseId& id, const LeaseUse& use);
  void close_there(const LeaseId& id);

  // Leases that closing here has ended since the last call: the other end waits to hear it.
  std::vector<LeaseId> take_ended() { return std::exchange(m_ended, {}); }

  void set_peer_instance(std::optional<InstanceId> current, std::vector<InstanceId> retired);
  void set_mark(const std::string& source, std::uint64_t mark);
  void forget_blocks(WallTime arrived_before, std::string source = {});

  Result<void> commit();
  // Opens the slots of key of a lease, one after the other. Empty when the material of some block does not open: then
  // burn_damaged() is to be called.
  Result<std::optional<SecretBytes>> read(const LeaseRecord& lease);

 private:
  // Order of the stock, the same at both ends: by the source's count, then by id.
  using StockKey = std::pair<std::uint64_t, BlockId>;

  struct Stream {
    Stock stock;
    std::set<StockKey> free;  // usable blocks with a free slot
  };

  Pool(KmeId peer, std::uint32_t min_sources, SourceNames sources, Store& store)
      : m_peer(std::move(peer)),
        m_min_sources(min_sources),
        m_sources(std::move(sources)),
        m_store(&store),
        m_staged(m_peer) {}

  static StockKey key_of(const BlockRecord& record) { return {record.sequence.value_or(0), record.id}; }

  static Stock count(const Block& block);

  // The name of a source's stream: without combining, all are one.
  std::string_view stream_of(std::string_view source) const { return m_min_sources > 1 ? source : std::string_view(); }

  bool counts(std::string_view stream) const { return m_min_sources == 1 || m_sources.contains(stream); }

  // Those that count and have something to lease, the fullest first.
  std::vector<const Stream*> by_stock() const;
  // What they have, in keys of so many slots.
  static std::vector<std::uint64_t> parts(const std::vector<const Stream*>& streams, std::uint32_t slots_per_key);
  void choose_from(const Stream& stream, std::uint64_t octets, bool from_low_end, std::vector<Extent>& chosen) const;

  Result<void> adopt(StoredPool stored);
  Result<void> check(const LeaseRecord& lease) const;
  Result<void> check_books() const;
  std::unexpected<Error> damaged(std::string_view what) const;
  // Empty when it does not open: then the block is one for burn_damaged().
  Result<std::optional<SecretBytes>> read(const Extent& extent);
  void index(Block& block);
  void take(const LeaseRecord& lease);
  void stage(Block& block);
  void stage(const LeaseRecord& lease);
  void spend(const BlockId& id, const RangeSet& ranges);
  void finish_if_closed(const LeaseId& id);

  KmeId m_peer;
  std::uint32_t m_min_sources;
  SourceNames m_sources;
  Store* m_store;
  std::map<BlockId, Block> m_blocks;
  std::map<std::string, Stream, std::less<>> m_streams;
  std::map<LeaseId, LeaseRecord> m_leases;
  Books m_books;
  bool m_simulated = false;
  std::optional<InstanceId> m_peer_instance;
  std::map<std::string, std::uint64_t> m_marks;
  std::vector<LeaseId> m_ended;
  std::set<BlockId> m_damaged;
  bool m_trim = false;  // something was staged of which only so much is kept
  Transaction m_staged;
  std::map<BlockId, std::size_t> m_staged_blocks;  // where in m_staged the SetBlock of each is
  std::vector<SecretBytes> m_staged_material;      // what views in m_staged point to
};

}  // namespace quipu::kms
