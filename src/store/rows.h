// SPDX-License-Identifier: Apache-2.0
// Records as columns. Reading refuses what writing would not have made (Errc::storage): the file may be damaged, or
// somebody may have changed it. Inside src/store only.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "kms/records.h"
#include "store/database.h"

namespace quipu::store {

// Ranges as pairs of u32, extents as block id and such a pair, ids as 16 octets each, all one after the other.
Bytes encode_ranges(const kms::RangeSet& ranges);
Bytes encode_extents(std::span<const kms::Extent> extents);
Bytes encode_ids(std::span<const Uuid> ids);

Result<kms::RangeSet> decode_ranges(ByteView octets, std::uint32_t block_length);
Result<std::vector<kms::Extent>> decode_extents(ByteView octets);
Result<std::vector<Uuid>> decode_ids(ByteView octets);

// 8 octets that compare as the numbers do.
std::array<std::uint8_t, 8> encode_u64(std::uint64_t value);
Result<std::uint64_t> decode_u64(ByteView octets);

Result<Uuid> decode_id(ByteView octets);
Result<std::optional<Uuid>> decode_optional_id(const Query& query, int column);

#define QUIPU_BLOCK_COLUMNS "id, state, digest, length, source, sequence, simulated, arrived, spent"
Result<kms::BlockRecord> read_block(const Query& query);

#define QUIPU_LEASE_COLUMNS "id, holder, holder_instance, opener_instance, extents, key_ids, closed_here, closed_there"
Result<kms::LeaseRecord> read_lease(const Query& query);

}  // namespace quipu::store
