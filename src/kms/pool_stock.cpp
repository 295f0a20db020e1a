// SPDX-License-Identifier: Apache-2.0
// What a pool has of each source, and how keys are made of it. Without combining all sources are one stream; else each
// is one of its own, and a key takes a slot of as many streams as it has sources.
#include <algorithm>
#include <functional>

#include "kms/pool.h"

namespace quipu::kms {

Pool::Stock& Pool::Stock::operator+=(const Stock& other) {
  blocks += other.blocks;
  held += other.held;
  free += other.free;
  return *this;
}

Pool::Stock& Pool::Stock::operator-=(const Stock& other) {
  blocks -= other.blocks;
  held -= other.held;
  free -= other.free;
  return *this;
}

Pool::Stock Pool::count(const Block& block) {
  switch (block.record.state) {
    case BlockState::held: return {1, block.record.length, 0};
    case BlockState::usable: return {1, 0, block.record.length - block.taken.size()};
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

// k keys can be made when the streams, none counted beyond k slots, have min_sources * k slots: when for each j,
// leaving out the j fullest, the others have k * (min_sources - j).
std::uint64_t Pool::key_octets() const {
  const std::vector<const Stream*> streams = by_stock();
  if (streams.size() < m_min_sources) return 0;
  std::uint64_t others = 0;
  for (const Stream* stream : streams)
    others += stream->stock.free;
  std::uint64_t least = others;
  for (std::size_t left_out = 0; left_out < m_min_sources; ++left_out) {
    least = std::min(least, others / (m_min_sources - left_out));
    others -= streams[left_out]->stock.free;
  }
  return least / kSlotSize * kSlotSize;
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

std::vector<Extent> Pool::choose(std::uint32_t slots, bool from_low_end) const {
  std::vector<const Stream*> streams = by_stock();
  std::vector<Extent> chosen;
  if (streams.size() < m_min_sources) return chosen;
  streams.resize(m_min_sources);
  const std::uint64_t octets = std::min(std::uint64_t{slots} * kSlotSize, streams.back()->stock.free);
  for (const Stream* stream : streams)
    choose_from(*stream, octets, from_low_end, chosen);
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

Result<SecretBytes> Pool::read(const LeaseRecord& lease) const {
  SecretBytes keys(lease.key_octets());
  const MutableBytes out = keys.mutable_view();
  std::size_t at = 0;
  for (const Extent& extent : lease.extents) {
    QUIPU_TRY_ASSIGN(const SecretBytes material, m_store->read(m_peer, extent.block, extent.range));
    if (material.size() != extent.range.length) return fail(Errc::storage, "the store returned a part of a block");
    for (const std::uint8_t octet : material.view()) {
      out[at] ^= octet;
      if (++at == out.size()) at = 0;
    }
  }
  return keys;
}

}  // namespace quipu::kms
