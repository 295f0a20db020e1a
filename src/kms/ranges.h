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

class RangeSet {
 public:
  RangeSet() = default;

  // Any order, overlaps and empty ranges allowed.
  explicit RangeSet(const std::vector<Range>& ranges);

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
  std::vector<Range> m_ranges;
};

}  // namespace quipu::kms
