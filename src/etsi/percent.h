// SPDX-License-Identifier: Apache-2.0
// Percent-encoding of one path segment or query value (RFC 3986 section 2.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quipu::etsi {

// Everything but unreserved characters is encoded.
std::string percent_encode(std::string_view text);
// Empty optional when a % is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace quipu::etsi
