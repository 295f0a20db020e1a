// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace boost::json {
class value;
}

namespace quipu::control {

// Appends `text` as a JSON string (RFC 8259, section 7) in quotation marks. Octets that are not UTF-8 become U+FFFD, so
// that no text from outside can make a document unreadable.
void append_json_string(std::string& out, std::string_view text);

// Appends a number, or null for one that JSON cannot say (infinity, not a number).
void append_json_number(std::string& out, double number);

// Errors name the place by octet. Refused: more than max_size octets, more than 16 levels, a member twice in one
// object, anything but one document of strict JSON.
Result<void> check_json(std::string_view text, std::size_t max_size);

// check_json, then the document. For the .cpp files of src/control: only they see Boost.JSON.
Result<boost::json::value> parse_json(std::string_view text, std::size_t max_size);

}  // namespace quipu::control
