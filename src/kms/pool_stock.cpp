// SPDX-License-Identifier: Apache-2.0
// What a pool has of each source, and how keys are made of it. Without combining all sources are one stream; else each
// is one of its own, and a key takes a slot of as many streams as it has sources.
#include <algorithm>
#include <functional>
#include <numeric>

#include "kms/pool.h"

namespace quipu::kms {
namespace {

// Of sources that have part of so many keys each, the fullest first. k keys can be made of n each when the sources,
// none counted beyond k, have n * k parts: when for each j, leaving out the j fullest, the others have k * (n - j).
std::uint64_t keys_of(const std::vector<std::uint64_t>& parts, std::size_t sources) {
  if (parts.size() < sources) return 0;
  std::uint64_t others = std::accumulate(parts.begin(), parts.end(), std::uint64_t{0});
  std::uint64_t least = others;
  for (std::size_t left_out = 0; left_out < sources; ++left_out) {
    least = std::min(least, others / (sources - left_out));
    others -= parts[left_out];
  }
  return least;
}

// After so many keys of the fullest sources, all others that could be made still can.
bool strands_nothing(std::vector<std::uint64_t> parts, std::size_t sources, std::uint64_t keys) {
  const std::uint64_t before = keys_of(parts, sources);
  for (std::size_t i = 0; i < sources; ++i)
    parts[i] -= keys;
  std::ranges::sort(parts, std::greater());
  return keys_of(parts, sources) == before - keys;
}

// How many, up to `wanted`, the fullest sources can give so. If it holds for some number it does for fewer; for one it
// always does.
std::uint64_t keys_at_once(const std::vector<std::uint64_t>& parts, std::size_t sources, std::uint64_t wanted) {
  if (parts.size() < sources) return 0;
  std::uint64_t good = 0;
  for (std::uint64_t bad = std::min(wanted, parts[sources - 1]) + 1; bad - good > 1;) {
    const std::uint64_t middle = good + (bad - good) / 2;
    (strands_nothing(parts, sources, middle) ? good : bad) = middle;
  }
  return good;
}

// Of the material of a usable block: it was altered, or is not there. Anything else is the disk.
bool is_damage(Errc code) {
  return code == Errc::authentication || code == Errc::not_found;
}

}  // namespace

Pool::Stock& Pool::Stock::operator+=(const Stock& other) {
  blocks += other.blocks;
  held += other.held;
  free += other.free;
  all += other.all;
  return *this;
}

Pool::Stock& Pool::Stock::operator-=(const Stock& other) {
  blocks -= other.blocks;
  held -= other.held;
  free -= other.free;
  all -= other.all;
  return *this;
}

Pool::Stock Pool::count(const Block& block) {
  switch (block.record.state) {
    case BlockState::held: return {1, block.record.length, 0, block.record.length};
    case BlockState::usable: return {1, 0, block.record.length - block.taken.size(), block.record.length};
    case BlockState::unknown:
    case BlockState::used:
    case BlockState::voided: return {};
  }
  return {};
}

void Pool::index(Block& block) {
  Stream& stream = m_streams[std::string(stream_of(block.record.source))];
  stream.stock -= block.counted;
  block.counted = count(block);
  stream.stock += block.counted;
  if (block.counted.free != 0)
    stream.free.insert(key_of(block.record));
  else
    stream.free.erase(key_of(block.record));
}

Pool::Stock Pool::stock_of(std::string_view source) const {
  const auto stream = m_streams.find(stream_of(source));
  return stream == m_streams.end() ? Stock{} : stream->second.stock;
}

std::uint64_t Pool::capacity(std::uint64_t octets) const {
  Stock sum;
  for (const auto& [source, stream] : m_streams)
    sum += stream.stock;
  return sum.blocks == 0 ? octets : std::min(octets, sum.all * kMaxPoolBlocks / sum.blocks);
}

std::map<std::string, Pool::Stock> Pool::stocks() const {
  std::map<std::string, Stock> out;
  if (m_min_sources == 1) return out;
  for (const std::string& source : m_sources)
    out.emplace(source, Stock{});
  for (const auto& [source, stream] : m_streams)
    if (stream.stock.blocks != 0) out[source] = stream.stock;
  return out;
}

std::vector<const Pool::Stream*> Pool::by_stock() const {
  std::vector<const Stream*> streams;
  for (const auto& [source, stream] : m_streams)
    if (counts(source) && stream.stock.free != 0) streams.push_back(&stream);
  std::ranges::sort(streams, std::greater(), [](const Stream* stream) { return stream->stock.free; });
  return streams;
}

std::vector<std::uint64_t> Pool::parts(const std::vector<const Stream*>& streams, std::uint32_t slots_per_key) {
  std::vector<std::uint64_t> parts;
  parts.reserve(streams.size());
  for (const Stream* stream : streams)
    parts.push_back(stream->stock.free / (std::uint64_t{slots_per_key} * kSlotSize));
  return parts;
}

std::uint64_t Pool::keys(std::uint32_t slots_per_key) const {
  return keys_of(parts(by_stock(), slots_per_key), m_min_sources);
}

bool Pool::is_combination(const std::vector<Extent>& extents, std::size_t slots) const {
  const std::uint64_t part = std::uint64_t{slots} * kSlotSize;
  std::set<std::string_view> streams;
  std::string_view current;
  std::uint64_t at = 0;
  for (const Extent& extent : extents) {
    const std::string_view stream = stream_of(find(extent.block)->record.source);
    const std::uint64_t in_part = at % part;
    if (!counts(stream) || (in_part == 0 ? !streams.insert(stream).second : stream != current)) return false;
    if (extent.range.length > part - in_part) return false;
    current = stream;
    at += extent.range.length;
  }
  return at == m_min_sources * part;
}

std::vector<Extent> Pool::choose(std::uint32_t slots_per_key, std::uint32_t number, bool from_low_end) const {
  std::vector<const Stream*> streams = by_stock();
  std::vector<Extent> chosen;
  const std::uint64_t at_once = keys_at_once(parts(streams, slots_per_key), m_min_sources, number);
  if (at_once == 0) return chosen;
  streams.resize(m_min_sources);
  for (const Stream* stream : streams)
    choose_from(*stream, at_once * slots_per_key * kSlotSize, from_low_end, chosen);
  return chosen;
}

// So much is free.
void Pool::choose_from(const Stream& stream, std::uint64_t octets, bool from_low_end,
                       std::vector<Extent>& chosen) const {
  const auto take_from = [&](const StockKey& key) {
    const Block& block = m_blocks.at(key.second);
    std::vector<Range> gaps = block.taken.missing_from({0, block.record.length});
    if (!from_low_end) std::ranges::reverse(gaps);
    for (const Range gap : gaps) {
      const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(gap.length, octets));
      if (length == 0) return;
      chosen.push_back({key.second, {from_low_end ? gap.offset : gap.end() - length, length}});
      octets -= length;
    }
  };
  if (from_low_end)
    for (auto it = stream.free.begin(); octets != 0 && it != stream.free.end(); ++it)
      take_from(*it);
  else
    for (auto it = stream.free.rbegin(); octets != 0 && it != stream.free.rend(); ++it)
      take_from(*it);
}

Result<std::optional<SecretBytes>> Pool::read(const Extent& extent) {
  auto material = m_store->read(m_peer, extent.block, extent.range);
  if (!material && !is_damage(material.error().code)) return std::unexpected(std::move(material).error());
  if (!material) {
    m_damaged.insert(extent.block);
    return std::nullopt;
  }
  if (material->size() != extent.range.length) return fail(Errc::storage, "the store returned a part of a block");
  return std::optional(*std::move(material));
}

Result<std::optional<SecretBytes>> Pool::read(const LeaseRecord& lease) {
  SecretBytes keys(lease.key_octets());
  const MutableBytes out = keys.mutable_view();
  std::size_t at = 0;
  bool all_open = true;
  for (const Extent& extent : lease.extents) {
    QUIPU_TRY_ASSIGN(const auto material, read(extent));
    if (!material) {
      all_open = false;
      continue;
    }
    for (const std::uint8_t octet : material->view()) {
      out[at] ^= octet;
      if (++at == out.size()) at = 0;
    }
  }
  return all_open ? std::optional(std::move(keys)) : std::nullopt;
}

}  // namespace quipu::kms
