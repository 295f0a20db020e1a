// SPDX-License-Identifier: Apache-2.0
// A TOML text (v1.0) as a tree that remembers where each value stood. Inside src/config only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/types.h"

namespace quipu::config {

inline constexpr std::size_t kMaxDocumentSize = std::size_t{4} * 1024 * 1024;

struct Value;
struct Member;
using Array = std::vector<Value>;
using Table = std::vector<Member>;  // in the order of the file, no key twice

// Dates and times, which no key takes.
struct UnusedType {};

struct Value {
  Position position;
  std::variant<UnusedType, std::string, std::int64_t, double, bool, Array, Table> data;
};

struct Member {
  std::string key;
  Position position;
  Value value;
};

// "text", "an integer", ... for messages.
std::string_view type_name(const Value& value);

// At most one problem: the parser stops at the first. Multi-line strings and deep nesting are refused: no key needs
// them, and they are what a hostile text would exhaust the stack with.
Parsed<Table> parse_document(std::string_view text);

}  // namespace quipu::config
