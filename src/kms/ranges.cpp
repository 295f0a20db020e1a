// SPDX-License-Identifier: Apache-2.0
#include "kms/ranges.h"

#include <algorithm>
#include <iterator>

namespace quipu::kms {

RangeSet::RangeSet(std::vector<Range> ranges) {
  std::ranges::sort(ranges, {}, &Range::offset);
  join(ranges);
}

void RangeSet::join(const std::vector<Range>& by_offset) {
  m_ranges.clear();
  for (const Range range : by_offset) {
    if (range.length == 0) continue;
    if (m_ranges.empty() || m_ranges.back().end() < range.offset) {
      m_ranges.push_back(range);
    } else {
      Range& last = m_ranges.back();
      last.length = std::max(last.end(), range.end()) - last.offset;
    }
  }
}

RangeSet::Iterator RangeSet::first_behind(std::uint32_t offset) const {
  return std::ranges::upper_bound(m_ranges, offset, {}, &Range::end);
}

void RangeSet::add(Range range) {
  if (range.length == 0) return;
  // The first range that touches the new one, and the first behind it that does not.
  const auto first = std::ranges::lower_bound(m_ranges, range.offset, {}, &Range::end);
  const auto last = std::ranges::upper_bound(first, m_ranges.end(), range.end(), {}, &Range::offset);
  if (first == last) {
    m_ranges.insert(first, range);
    return;
  }
  const std::uint32_t begin = std::min(range.offset, first->offset);
  *first = {begin, std::max(range.end(), std::prev(last)->end()) - begin};
  m_ranges.erase(std::next(first), last);
}

void RangeSet::add(const RangeSet& other) {
  std::vector<Range> both;
  both.reserve(m_ranges.size() + other.m_ranges.size());
  std::ranges::merge(m_ranges, other.m_ranges, std::back_inserter(both), {}, &Range::offset, &Range::offset);
  join(both);
}

void RangeSet::remove(Range range) {
  if (range.length == 0) return;  // would cut one range into two that touch
  const auto first = first_behind(range.offset);
  const auto last = std::ranges::lower_bound(first, m_ranges.cend(), range.end(), {}, &Range::offset);
  if (first == last) return;
  std::vector<Range> kept;
  if (first->offset < range.offset) kept.push_back({first->offset, range.offset - first->offset});
  if (const std::uint32_t end = std::prev(last)->end(); range.end() < end)
    kept.push_back({range.end(), end - range.end()});
  m_ranges.insert(m_ranges.erase(first, last), kept.begin(), kept.end());
}

bool RangeSet::overlaps(Range range) const {
  const auto found = first_behind(range.offset);
  return found != m_ranges.end() && found->offset < range.end();
}

bool RangeSet::covers(Range range) const {
  const auto found = first_behind(range.offset);
  return range.length == 0 || (found != m_ranges.end() && found->offset <= range.offset && range.end() <= found->end());
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
  for (auto next = first_behind(at); next != m_ranges.end() && next->offset < range.end(); ++next) {
    if (next->offset > at) missing.push_back({at, next->offset - at});
    at = next->end();
  }
  if (at < range.end()) missing.push_back({at, range.end() - at});
  return missing;
}

}  // namespace quipu::kms
