// SPDX-License-Identifier: Apache-2.0
// Sets of octet positions inside one block, as sorted, disjoint, non-touching ranges.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

namespace quipu::kms {

// Octets [offset, offset + length) of a block; length > 0 in every stored range.
struct Range {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;

  auto operator<=>(const Range&) const = default;

  std::uint32_t end() const { return offset + length; }
};

// With n ranges: a look is made in log n steps; two sets are joined, or one range is added or removed, in n.
class RangeSet {
 public:
  RangeSet() = default;

  // Any order, overlaps and empty ranges allowed.
  explicit RangeSet(std::vector<Range> ranges);

  void add(Range range);
  void add(const RangeSet& other);
  void remove(Range range);

  bool empty() const { return m_ranges.empty(); }

  bool overlaps(Range range) const;
  // True when every octet of `range` is in the set.
  bool covers(Range range) const;
  // Octets in the set.
  std::uint64_t size() const;
  // What of `range` is not in the set, in ascending order.
  std::vector<Range> missing_from(Range range) const;

  const std::vector<Range>& ranges() const { return m_ranges; }

  bool operator==(const RangeSet&) const = default;

 private:
  using Iterator = std::vector<Range>::const_iterator;

  // Becomes the union of these, which are in the order of their offsets.
  void join(const std::vector<Range>& by_offset);
  // The first range that has an octet at or behind `offset`.
  Iterator first_behind(std::uint32_t offset) const;

  std::vector<Range> m_ranges;
};

}  // namespace quipu::kms
