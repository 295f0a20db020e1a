// SPDX-License-Identifier: Apache-2.0
#include "etsi/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "base/encoding.h"

namespace quipu::etsi {
namespace {

using Code = boost::system::error_code;
using Text = boost::json::string_view;

// Handler of boost::json::basic_parser: follows the path, refuses members that come twice, keeps our own error.
class Walker {
 public:
  static constexpr std::size_t max_object_size = 1024;
  static constexpr std::size_t max_array_size = 4096;
  static constexpr std::size_t max_key_size = 1024;
  static constexpr std::size_t max_string_size = std::size_t{16} * 1024 * 1024;

  explicit Walker(JsonVisitor& visitor) : m_visitor(visitor) {}

  const Error& error() const { return m_error; }

  bool on_document_begin(Code&) { return true; }

  bool on_document_end(Code&) { return true; }

  bool on_object_begin(Code& ec) {
    if (!begin(JsonKind::object, ec)) return false;
    m_members.emplace_back();
    m_path.emplace_back();
    return true;
  }

  bool on_object_end(std::size_t, Code& ec) {
    m_members.pop_back();
    m_path.pop_back();
    return accept(m_visitor.object_end(m_path), ec);
  }

  bool on_array_begin(Code& ec) {
    if (!begin(JsonKind::array, ec)) return false;
    m_path.emplace_back("[]");
    return true;
  }

  bool on_array_end(std::size_t, Code&) {
    m_path.pop_back();
    return true;
  }

  bool on_key_part(Text part, std::size_t, Code&) {
    m_name += part;
    return true;
  }

  bool on_key(Text rest, std::size_t, Code& ec) {
    m_name += rest;
    m_path.back() = std::exchange(m_name, {});
    if (m_members.back().insert(m_path.back()).second) return true;
    return accept(fail(Errc::duplicate, to_string(m_path) + ": given twice"), ec);
  }

  bool on_string_part(Text, std::size_t, Code& ec) {
    if (std::exchange(m_in_parts, true)) return true;
    return begin(JsonKind::string, ec);
  }

  bool on_string(Text text, std::size_t, Code& ec) {
    if (std::exchange(m_in_parts, false)) return accept(m_visitor.escaped_string(m_path), ec);
    return begin(JsonKind::string, ec) && accept(m_visitor.string(m_path, {text.data(), text.size()}), ec);
  }

  bool on_number_part(Text, Code&) { return true; }

  bool on_int64(std::int64_t, Text, Code& ec) { return begin(JsonKind::integer, ec); }

  bool on_uint64(std::uint64_t, Text, Code& ec) { return begin(JsonKind::integer, ec); }

  bool on_double(double, Text, Code& ec) { return begin(JsonKind::fraction, ec); }

  bool on_bool(bool value, Code& ec) {
    return begin(JsonKind::boolean, ec) && accept(m_visitor.boolean(m_path, value), ec);
  }

  bool on_null(Code& ec) { return begin(JsonKind::null, ec); }

  bool on_comment_part(Text, Code&) { return true; }

  bool on_comment(Text, Code&) { return true; }

 private:
  bool begin(JsonKind kind, Code& ec) { return accept(m_visitor.begin(m_path, kind), ec); }

  bool accept(Result<void> result, Code& ec) {
    if (result) return true;
    m_error = std::move(result).error();
    ec = boost::json::error::exception;  // any code will do: ours is in m_error
    return false;
  }

  JsonVisitor& m_visitor;
  JsonPath m_path;
  std::vector<std::set<std::string>> m_members;  // one for each object that is open
  std::string m_name;                            // of the member being read
  bool m_in_parts = false;
  Error m_error{Errc::malformed, {}};
};

// Accepts any content: walk_json() itself refuses duplicates and depth.
class AnyContent final : public JsonVisitor {
 public:
  Result<void> begin(const JsonPath&, JsonKind) override { return {}; }
};

boost::json::parse_options options() {
  boost::json::parse_options out;
  out.max_depth = kMaxJsonDepth;
  return out;
}

// The character that a \uXXXX at the front stands for, if it is one that needs no escape.
std::optional<std::uint8_t> plain_ascii(ByteView escape) {
  if (escape.size() < 6 || escape[1] != 'u') return {};
  const auto value = from_hex(as_text(escape.subspan(2, 4)));
  if (!value || (*value)[0] != 0) return {};
  const std::uint8_t octet = (*value)[1];
  if (octet < 0x20 || octet > 0x7e || octet == '"' || octet == '\\') return {};
  return octet;
}

}  // namespace

std::string to_string(const JsonPath& path) {
  std::string out;
  for (const std::string& name : path) {
    if (!out.empty() && name != "[]") out += '.';
    out += name;
  }
  return out.empty() ? "document" : out;
}

Result<void> walk_json(ByteView document, JsonVisitor& visitor) {
  if (document.empty()) return fail(Errc::malformed, "empty where JSON is expected");
  boost::json::basic_parser<Walker> parser(options(), visitor);
  Code ec;
  const std::size_t used =
      parser.write_some(false, reinterpret_cast<const char*>(document.data()), document.size(), ec);
  if (!parser.handler().error().text.empty()) return std::unexpected(parser.handler().error());
  if (ec) return fail(Errc::malformed, "no JSON from octet " + std::to_string(used) + " on: " + ec.message());
  if (used != document.size()) return fail(Errc::malformed, "octets after the JSON document");
  return {};
}

Result<boost::json::value> read_json(ByteView document) {
  AnyContent any;
  QUIPU_TRY(walk_json(document, any));
  Code ec;
  boost::json::value value = boost::json::parse(as_text(document), ec, {}, options());
  if (ec) return fail(Errc::malformed, "no JSON: " + ec.message());
  return value;
}

SecretBytes without_ascii_escapes(ByteView document) {
  SecretBytes copy(document.size());
  std::size_t size = 0;
  for (std::size_t at = 0; at < document.size();) {
    const ByteView rest = document.subspan(at);
    if (rest[0] != '\\' || rest.size() == 1) {
      copy.mutable_view()[size++] = rest[0];
      ++at;
    } else if (rest[1] == '/') {
      copy.mutable_view()[size++] = '/';
      at += 2;
    } else if (const auto octet = plain_ascii(rest)) {
      copy.mutable_view()[size++] = *octet;
      at += 6;
    } else {
      copy.mutable_view()[size++] = rest[0];
      copy.mutable_view()[size++] = rest[1];
      at += 2;
    }
  }
  return SecretBytes::copy_of(copy.view().first(size));
}

std::string json_string(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

}  // namespace quipu::etsi
