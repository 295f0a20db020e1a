// SPDX-License-Identifier: Apache-2.0
// What the load generator reads of an answer lies within it, however much of it has come.
#include <cstdlib>

#include "bench/answer.h"

namespace {

using namespace quipu;

bool is_within(std::string_view part, ByteView whole) {
  const std::string_view text = as_text(whole);
  return part.empty() || (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView received(data, size);
  const auto whole = bench::answer_size(received);
  if (!whole || !*whole) return 0;
  if (**whole > size) std::abort();
  const auto again = bench::answer_size(received.first(**whole));
  if (!again || *again != *whole) std::abort();
  const bench::Answer answer = bench::read_answer(received.first(**whole));
  if (!is_within(answer.key_id, received) || !is_within(answer.key, received)) std::abort();
  return 0;
}
