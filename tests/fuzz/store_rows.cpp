// SPDX-License-Identifier: Apache-2.0
// Columns that somebody changed in the file: refused, or a value that writes back to the same octets.
#include <algorithm>
#include <cstdlib>

#include "store/guard_list.h"
#include "store/rows.h"
#include "store/stamp_file.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quipu::store;
  const quipu::ByteView octets(data, size);
  if (const auto ranges = decode_ranges(octets, quipu::kms::kMaxBlockSize)) {
    require(std::ranges::equal(encode_ranges(*ranges), octets));
    for (const auto& range : ranges->ranges())
      require(range.end() <= quipu::kms::kMaxBlockSize);
  }
  if (const auto extents = decode_extents(octets)) require(std::ranges::equal(encode_extents(*extents), octets));
  if (const auto ids = decode_ids(octets)) require(std::ranges::equal(encode_ids(*ids), octets));
  if (const auto number = decode_u64(octets)) require(std::ranges::equal(encode_u64(*number), octets));
  if (const auto end = decode_stamps(quipu::as_text(octets))) require(encode_stamps(*end) == quipu::as_text(octets));
  const auto guards = decode_guards(quipu::as_text(octets));
  require(decode_guards(encode_guards(guards)) == guards);
  return 0;
}
