// SPDX-License-Identifier: Apache-2.0
// Just enough of HTTP/1.1 and JSON to read what a KMS answers to a request for one key: the load generator shares its
// processors with what it measures.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace quipu::bench {

// Octets of one whole answer at the front of `received`; nothing while some are missing. Errc::malformed: no answer
// with a Content-Length.
Result<std::optional<std::size_t>> answer_size(ByteView received);

struct Answer {
  unsigned status = 0;
  std::string_view key_id;  // as it stands there; empty when there is none
  std::string_view key;     // base64
};

// Of a whole answer, into which the views point.
Answer read_answer(ByteView whole);

}  // namespace quipu::bench
