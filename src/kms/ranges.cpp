// SPDX-License-Identifier: Apache-2.0
#include "kms/ranges.h"

#include <algorithm>

namespace quipu::kms {

RangeSet::RangeSet(const std::vector<Range>& ranges) {
  for (const Range range : ranges)
    add(range);
}

void RangeSet::add(Range range) {
  if (range.length == 0) return;
  // The first range that touches the new one, and the first behind it that does not.
  const auto first = std::ranges::find_if(m_ranges, [&](const Range& r) { return r.end() >= range.offset; });
  auto last = first;
  std::uint32_t begin = range.offset;
  std::uint32_t end = range.end();
  for (; last != m_ranges.end() && last->offset <= end; ++last) {
    begin = std::min(begin, last->offset);
    end = std::max(end, last->end());
  }
  m_ranges.insert(m_ranges.erase(first, last), Range{begin, end - begin});
}

void RangeSet::add(const RangeSet& other) {
  for (const Range range : other.m_ranges)
    add(range);
}

void RangeSet::remove(Range range) {
  if (range.length == 0) return;  // would cut one range into two that touch
  std::vector<Range> kept;
  for (const Range r : m_ranges) {
    if (r.offset < range.offset) kept.push_back({r.offset, std::min(r.end(), range.offset) - r.offset});
    if (const std::uint32_t begin = std::max(r.offset, range.end()); begin < r.end())
      kept.push_back({begin, r.end() - begin});
  }
  m_ranges = std::move(kept);
}

bool RangeSet::overlaps(Range range) const {
  return std::ranges::any_of(m_ranges,
                             [&](const Range& r) { return r.offset < range.end() && range.offset < r.end(); });
}

bool RangeSet::covers(Range range) const {
  return missing_from(range).empty();
}

std::uint64_t RangeSet::size() const {
  std::uint64_t total = 0;
  for (const Range range : m_ranges)
    total += range.length;
  return total;
}

std::vector<Range> RangeSet::missing_from(Range range) const {
  std::vector<Range> missing;
  std::uint32_t at = range.offset;
  for (const Range r : m_ranges) {
    if (r.end() <= at) continue;
    if (r.offset >= range.end()) break;
    if (r.offset > at) missing.push_back({at, r.offset - at});
    at = r.end();
  }
  if (at < range.end()) missing.push_back({at, range.end() - at});
  return missing;
}

}  // namespace quipu::kms
