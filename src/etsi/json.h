// SPDX-License-Identifier: Apache-2.0
// JSON as this folder reads it: one document, UTF-8, no member twice in one object, bounded depth and sizes.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace quipu::etsi {

inline constexpr std::size_t kMaxJsonDepth = 16;

enum class JsonKind { object, array, string, integer, fraction, boolean, null };

// Where in a document the parser stands: member names from the outermost object inwards, "[]" for an array's elements.
using JsonPath = std::vector<std::string>;

std::string to_string(const JsonPath& path);

// Sees a document go by, value by value. An error ends the parse.
class JsonVisitor {
 public:
  virtual ~JsonVisitor() = default;

  // A value begins at `path`.
  virtual Result<void> begin(const JsonPath& path, JsonKind kind) = 0;

  // The object at `path` is complete.
  virtual Result<void> object_end(const JsonPath&) { return {}; }

  // Follows begin(string). `text` lies in the input buffer itself.
  virtual Result<void> string(const JsonPath&, std::string_view) { return {}; }

  // Follows begin(string) instead, for a string with escapes in it: what it says is not collected, because nobody could
  // wipe the copies.
  virtual Result<void> escaped_string(const JsonPath&) { return {}; }

  // Follows begin(boolean).
  virtual Result<void> boolean(const JsonPath&, bool) { return {}; }
};

// Errors say where: a path, or an octet for what is no JSON at all.
Result<void> walk_json(ByteView document, JsonVisitor& visitor);

// A document without secrets as a tree.
Result<boost::json::value> read_json(ByteView document);

// The same document with the escapes that stand for printable ASCII (as in "\/" and "\u003d", which some servers write
// within base64) resolved, so that no such string needs a second buffer. Same or smaller size, in locked memory.
SecretBytes without_ascii_escapes(ByteView document);

// `text` as a JSON string with its quotes.
std::string json_string(std::string_view text);

}  // namespace quipu::etsi
