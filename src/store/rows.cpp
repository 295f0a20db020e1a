// SPDX-License-Identifier: Apache-2.0
#include "store/rows.h"

#include <algorithm>

namespace quipu::store {
namespace {

constexpr std::size_t kRangeSize = 8;
constexpr std::size_t kIdSize = 16;
constexpr std::size_t kExtentSize = kIdSize + kRangeSize;

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::storage, "a " + std::string(what) + " of the store is damaged");
}

bool is_whole_slots(kms::Range range, std::uint32_t length) {
  return range.length != 0 && range.offset % kms::kSlotSize == 0 && range.length % kms::kSlotSize == 0 &&
         range.offset < length && range.length <= length - range.offset;
}

kms::Range read_range(ByteReader& reader) {
  kms::Range range;
  range.offset = reader.u32();
  range.length = reader.u32();
  return range;
}

}  // namespace

Bytes encode_ranges(const kms::RangeSet& ranges) {
  Bytes out(ranges.ranges().size() * kRangeSize);
  ByteWriter writer(out);
  for (const kms::Range range : ranges.ranges())
    writer.u32(range.offset).u32(range.length);
  return out;
}

Bytes encode_extents(std::span<const kms::Extent> extents) {
  Bytes out(extents.size() * kExtentSize);
  ByteWriter writer(out);
  for (const kms::Extent& extent : extents)
    writer.bytes(extent.block.value().octets).u32(extent.range.offset).u32(extent.range.length);
  return out;
}

Bytes encode_ids(std::span<const Uuid> ids) {
  Bytes out(ids.size() * kIdSize);
  ByteWriter writer(out);
  for (const Uuid& id : ids)
    writer.bytes(id.octets);
  return out;
}

Result<kms::RangeSet> decode_ranges(ByteView octets, std::uint32_t block_length) {
  if (octets.size() % kRangeSize != 0) return damaged("list of ranges");
  kms::RangeSet out;
  std::uint64_t end = 0;
  ByteReader reader(octets);
  while (reader.remaining() != 0) {
    const kms::Range range = read_range(reader);
    // Ascending, disjoint and not touching, as RangeSet keeps them.
    const bool in_order = out.empty() || range.offset > end;
    if (!in_order || !is_whole_slots(range, block_length)) return damaged("list of ranges");
    out.add(range);
    end = range.end();
  }
  return out;
}

Result<std::vector<kms::Extent>> decode_extents(ByteView octets) {
  if (octets.size() % kExtentSize != 0) return damaged("list of extents");
  std::vector<kms::Extent> out;
  ByteReader reader(octets);
  while (reader.remaining() != 0) {
    kms::Extent extent;
    extent.block = BlockId(Uuid{reader.array<kIdSize>()});
    extent.range = read_range(reader);
    if (!is_whole_slots(extent.range, kms::kMaxBlockSize)) return damaged("list of extents");
    out.push_back(extent);
  }
  return out;
}

Result<std::vector<Uuid>> decode_ids(ByteView octets) {
  if (octets.size() % kIdSize != 0) return damaged("list of ids");
  std::vector<Uuid> out;
  ByteReader reader(octets);
  while (reader.remaining() != 0)
    out.push_back(Uuid{reader.array<kIdSize>()});
  return out;
}

std::array<std::uint8_t, 8> encode_u64(std::uint64_t value) {
  std::array<std::uint8_t, 8> out{};
  ByteWriter(out).u64(value);
  return out;
}

Result<std::uint64_t> decode_u64(ByteView octets) {
  ByteReader reader(octets);
  const std::uint64_t value = reader.u64();
  if (!reader.finished()) return damaged("number");
  return value;
}

Result<Uuid> decode_id(ByteView octets) {
  ByteReader reader(octets);
  const Uuid id{reader.array<kIdSize>()};
  if (!reader.finished()) return damaged("name");
  return id;
}

Result<std::optional<Uuid>> decode_optional_id(const Query& query, int column) {
  if (query.is_null(column)) return std::optional<Uuid>();
  QUIPU_TRY_ASSIGN(const Uuid id, decode_id(query.blob(column)));
  return std::optional(id);
}

Result<kms::BlockRecord> read_block(const Query& query) {
  kms::BlockRecord out;
  QUIPU_TRY_ASSIGN(const Uuid id, decode_id(query.blob(0)));
  out.id = BlockId(id);
  const std::int64_t state = query.integer(1);
  const std::int64_t length = query.integer(3);
  const ByteView digest = query.blob(2);
  if (state < static_cast<int>(kms::BlockState::held) || state > static_cast<int>(kms::BlockState::voided) ||
      length < 0 || length > kms::kMaxBlockSize || digest.size() != out.digest.size())
    return damaged("block record");
  out.state = static_cast<kms::BlockState>(state);
  std::ranges::copy(digest, out.digest.begin());
  out.length = static_cast<std::uint32_t>(length);
  out.source = std::string(query.text(4));
  if (!query.is_null(5)) {
    QUIPU_TRY_ASSIGN(out.sequence, decode_u64(query.blob(5)));
  }
  out.simulated = query.integer(6) != 0;
  out.arrived = WallTime(std::chrono::milliseconds(query.integer(7)));
  QUIPU_TRY_ASSIGN(out.spent, decode_ranges(query.blob(8), out.length));
  return out;
}

Result<kms::LeaseRecord> read_lease(const Query& query) {
  kms::LeaseRecord out;
  QUIPU_TRY_ASSIGN(const Uuid id, decode_id(query.blob(0)));
  out.id = kms::LeaseId(id);
  const std::int64_t holder = query.integer(1);
  if (holder != static_cast<int>(kms::Holder::us) && holder != static_cast<int>(kms::Holder::peer))
    return damaged("lease record");
  out.holder = static_cast<kms::Holder>(holder);
  QUIPU_TRY_ASSIGN(const Uuid holder_instance, decode_id(query.blob(2)));
  out.holder_instance = kms::InstanceId(holder_instance);
  QUIPU_TRY_ASSIGN(const std::optional<Uuid> opener, decode_optional_id(query, 3));
  if (opener) out.opener_instance = kms::InstanceId(*opener);
  QUIPU_TRY_ASSIGN(out.extents, decode_extents(query.blob(4)));
  QUIPU_TRY_ASSIGN(out.key_ids, decode_ids(query.blob(5)));
  const std::uint64_t keys = out.key_octets();
  if (keys == 0 || out.octets() == 0 || out.octets() % keys != 0) return damaged("lease record");
  out.closed_here = query.integer(6) != 0;
  out.closed_there = query.integer(7) != 0;
  return out;
}

}  // namespace quipu::store
