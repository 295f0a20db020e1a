// SPDX-License-Identifier: Apache-2.0
// What a pool remembers durably: blocks, leases and books (docs/km-link.md). A pool is the key material shared with one
// other KME, and is named by that KME's id.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "kms/ranges.h"

namespace quipu::kms {

// One run of a KME: random, drawn at each start, never used again.
using InstanceId = Strong<struct InstanceIdTag, Uuid>;
// One lease: random, drawn by its holder.
using LeaseId = Strong<struct LeaseIdTag, Uuid>;
// BLAKE2b-256 of a block's octets.
using BlockDigest = std::array<std::uint8_t, 32>;

// Blocks are carved in slots of this many octets; a key takes one slot or several. A block's length is a multiple.
inline constexpr std::uint32_t kSlotSize = 32;
// QUIPU_MAX_BLOCK_OCTETS of the driver ABI.
inline constexpr std::uint32_t kMaxBlockSize = 65'536;
inline constexpr std::uint32_t kMaxLeaseSlots = 1'024;  // of key
// How many sources each key of a pool may be combined from, so that a lease of single slots fits into one message.
inline constexpr std::uint32_t kMaxCombined = 4;
// Held and usable together, so that an inventory stays a matter of a few MiB.
inline constexpr std::size_t kMaxPoolBlocks = 65'536;

// Void records of blocks that were never here, and retired ids of the peer's runs: a peer makes as many as it likes. A
// late copy of a block whose record was dropped is voided when it is offered; the peer has it void.
inline constexpr std::size_t kMaxLostBlocks = 16'384;
inline constexpr std::size_t kMaxRetired = 4'096;

// BlockRecord::source of what came by relay; no link is named so.
inline constexpr std::string_view kRelaySource = "(relay)";

// The values stand on the KM link and in the store.
enum class BlockState : std::uint8_t {
  unknown = 0,  // no record; never stored
  held = 1,     // durable here, the other end has not shown that it has the same
  usable = 2,   // durable at both ends: in stock, leased or spent
  used = 3,     // every slot is spent at both ends; the material is gone
  voided = 4,   // never to be used; the material is gone
};

std::string_view to_string(BlockState state);

// Outlives its material, so that a block that comes again is known and refused.
struct BlockRecord {
  BlockId id;
  BlockState state = BlockState::held;
  BlockDigest digest{};                   // as the peer told it in the void record of a block that was never here
  std::uint32_t length = 0;               // octets, a multiple of kSlotSize
  std::string source;                     // the link that delivered it, or kRelaySource; empty when it was never here
  std::optional<std::uint64_t> sequence;  // the source's count, where it goes on across restarts
  bool simulated = false;
  WallTime arrived{};
  RangeSet spent;  // slots that nobody will ever use again, and that the other end knows to be gone

  bool operator==(const BlockRecord&) const = default;
};

// A range of one block, in whole slots.
struct Extent {
  BlockId block;
  Range range;

  bool operator==(const Extent&) const = default;
};

enum class Holder : std::uint8_t { us = 1, peer = 2 };

// Slots set aside for one run of the holder, which hands them to master SAEs; the other end (the opener) hands the same
// octets to slave SAEs, under an instance id of its own. Slot i of the lease is the i-th slot of its extents in order;
// where keys are combined from several sources the extents are as many equal parts, one of each source, one behind the
// other, and slot i is the exclusive or of the i-th slot of each.
struct LeaseRecord {
  LeaseId id;
  Holder holder = Holder::us;
  InstanceId holder_instance;
  std::optional<InstanceId> opener_instance;  // unset at the holder until the opener has told it
  std::vector<Extent> extents;
  std::vector<Uuid> key_ids;  // one for each slot
  bool closed_here = false;   // this end hands out nothing more of it
  bool closed_there = false;  // the other end has said the same

  bool operator==(const LeaseRecord&) const = default;

  // Of key.
  std::uint64_t key_octets() const { return std::uint64_t{key_ids.size()} * kSlotSize; }

  // Of material, which is as often that as there are sources in a key.
  std::uint64_t octets() const {
    std::uint64_t octets = 0;
    for (const Extent& extent : extents)
      octets += extent.range.length;
    return octets;
  }
};

// Octets of material, counted from the pool's creation: a key that is combined from several sources takes as much of
// each. received = held + stock + leased + delivered + consumed + burnt + expired + voided, always.
struct Books {
  std::uint64_t received = 0;
  std::uint64_t held = 0;       // waiting for the other end
  std::uint64_t stock = 0;      // free to be leased by either end
  std::uint64_t leased = 0;     // in leases that are open here, of either holder
  std::uint64_t delivered = 0;  // handed to an SAE here
  std::uint64_t consumed = 0;   // used up as pads between the two KMEs: by relay and multicast
  std::uint64_t burnt = 0;      // given up without being handed out here
  std::uint64_t expired = 0;    // meant for a slave SAE here that did not fetch in time
  std::uint64_t voided = 0;     // in blocks that were voided

  bool operator==(const Books&) const = default;

  bool balanced() const { return received == held + stock + leased + delivered + consumed + burnt + expired + voided; }
};

// What became of a lease at this end, in octets of key; the rest of it is burnt.
struct LeaseUse {
  std::uint64_t delivered = 0;
  std::uint64_t consumed = 0;
  std::uint64_t expired = 0;

  std::uint64_t total() const { return delivered + consumed + expired; }
};

}  // namespace quipu::kms
