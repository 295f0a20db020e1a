// SPDX-License-Identifier: Apache-2.0
// What the KME asks of its disk. The rules of docs/km-link.md ("durable before what") stand on one promise: when
// commit() returns success, all of its changes survive kill -9 and loss of power; when it returns an error or never
// returns, all of them or none are there. The store decides nothing and knows no rule of pools: it is told rows.
//
// Material is sealed at rest: the store cuts it into chunks of kChunkSize octets, each under its own random key, and
// deletes a chunk's row, securely, in the transaction after which nobody can need it (SetBlock says when). Whoever
// reads the file finds no octet of a key in clear.
//
// One caller, one thread, synchronous. After an error, but for those of read() that concern one block, the caller
// serves nothing more from that run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "kms/records.h"

namespace quipu::kms {

inline constexpr std::uint32_t kChunkSize = 4'096;

// Inserts a record that is not there yet, with its material (record.length octets, valid during the call), or without
// when the view is empty: the void record of a block that was never here. A record of that id already there fails the
// whole transaction with Errc::duplicate.
struct AddBlock {
  BlockRecord record;
  ByteView material;
};

// Overwrites state and spent slots of a record that is there (Errc::not_found). In the same transaction the store
// deletes every chunk whose octets are all spent, and all chunks when the state is used or voided.
struct SetBlock {
  BlockId id;
  BlockState state;
  RangeSet spent;
};

// Inserts a lease with its announced key_IDs; Errc::duplicate when the id is there.
struct AddLease {
  LeaseRecord lease;
};

// Overwrites what may change of a lease that is there (Errc::not_found).
struct SetLease {
  LeaseId id;
  std::optional<InstanceId> opener_instance;
  bool closed_here;
  bool closed_there;
};

// Deletes a lease and its key_IDs; Errc::not_found when it is not there.
struct RemoveLease {
  LeaseId id;
};

// The peer's run that is in contact, and runs of it that must never be accepted again.
struct SetPeerInstance {
  std::optional<InstanceId> current;
  std::vector<InstanceId> retired;
};

// Blocks of `source` with a sequence below `mark` are refused as repetitions from now on, so the store drops records of
// that source that are used or voided and whose sequence is below it.
struct SetSourceMark {
  std::string source;
  std::uint64_t mark;
};

// Drops records without a sequence that are used or voided and arrived before that time.
struct ForgetBlocks {
  WallTime before;
  std::string source = {};  // of this one only; empty: of all
};

// Keeps, of what grows by the peer's word alone, the newest: void records of blocks that were never here (without a
// source; by arrival, then by id), and ids in the order in which they were retired.
struct Trim {
  std::size_t lost_blocks;
  std::size_t retired;
};

using Change = std::variant<AddBlock, SetBlock, AddLease, SetLease, RemoveLease, SetPeerInstance, SetSourceMark,
                            ForgetBlocks, Trim, Books>;

// One logical step in one pool. Changes apply in order; Books overwrites the pool's books.
struct Transaction {
  KmeId pool;
  std::vector<Change> changes;

  explicit Transaction(KmeId pool_id) : pool(std::move(pool_id)) {}

  template <class T>
  void add(T change) {
    changes.emplace_back(std::move(change));
  }
};

struct SourceMark {
  std::string source;
  std::uint64_t mark = 0;

  bool operator==(const SourceMark&) const = default;
};

// All that a start needs to know of a pool. Blocks that are used or voided stay in the store and are asked for one by
// one.
struct StoredPool {
  std::vector<BlockRecord> blocks;  // held and usable, any order
  std::vector<LeaseRecord> leases;  // any order
  Books books;
  std::optional<InstanceId> peer_instance;
  std::vector<SourceMark> marks;
};

class Store {
 public:
  virtual ~Store() = default;

  // Durable and atomic when it returns (see the head of this file). Errc::storage: the file is damaged; Errc::io: the
  // disk failed; Errc::exhausted: no space, or no memory; Errc::not_permitted: it may not be written any more.
  virtual Result<void> commit(const Transaction& transaction) = 0;

  // An empty pool when nothing was ever committed for it.
  virtual Result<StoredPool> load(const KmeId& pool) = 0;

  // Any state. Empty when there is no record.
  virtual Result<std::optional<BlockRecord>> find_block(const KmeId& pool, const BlockId& id) = 0;

  // Whether some record of the pool, in any state, holds this digest.
  virtual Result<bool> has_digest(const KmeId& pool, const BlockDigest& digest) = 0;

  // Whether another pool has the record, in any state, of a block with this digest that was here, or of one with this
  // id that a device delivered. Ids of other blocks are what a peer says, who must not be believed about other pools.
  virtual Result<bool> is_elsewhere(const KmeId& pool, const BlockId& id, const BlockDigest& digest) = 0;

  // Whether SetPeerInstance retired this id in the pool, and Trim has not dropped it.
  virtual Result<bool> is_retired(const KmeId& pool, const InstanceId& instance) = 0;

  // Opens the sealed octets of a range. Of this block alone: Errc::not_found when it or a chunk of it is gone,
  // Errc::authentication when a chunk does not open. Else as commit().
  virtual Result<SecretBytes> read(const KmeId& pool, const BlockId& id, Range range) = 0;
};

}  // namespace quipu::kms
