// SPDX-License-Identifier: Apache-2.0
// The closed set of error codes. One code says what kind of thing went wrong; Error adds where and what to do.
#pragma once

#include <string_view>

namespace quipu {

enum class Errc {
  // input
  malformed,     // octets or text that do not parse
  out_of_range,  // parsed, but not a permitted value
  too_large,     // longer than the permitted size
  unsupported,   // well-formed, and a version or option that this program does not have
  duplicate,     // present twice where once is permitted
  // cryptography
  bad_key,         // wrong length, all-zero result, failed modulus check
  authentication,  // a tag, signature or MAC did not verify
  crypto_failure,  // the cryptographic library refused a valid call
  limit_reached,   // a key may not be used any more
  // state
  not_found,
  already_used,  // single use was violated: refuse and alarm
  expired,
  conflict,       // the other side holds something else
  unavailable,    // not now; a later attempt may succeed
  exhausted,      // no key material, no space, no free slot
  refused,        // the other side said no
  not_permitted,  // the caller lacks the right
  busy,
  policy,  // protection lower than configured
  // the system
  io,  // a system call failed; the text holds its reason
  timeout,
  closed,   // the other end has gone
  storage,  // the store failed or is damaged
};

// The code's name as it appears in logs and JSON, for example "not_found".
std::string_view to_string(Errc code);

}  // namespace quipu
