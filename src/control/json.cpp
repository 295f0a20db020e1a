// SPDX-License-Identifier: Apache-2.0
#include "control/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace quipu::control {
namespace {

constexpr std::size_t kMaxDepth = 16;

// Sees every member, and stops at the second of one name: Boost.JSON's own tree would keep the last one silently.
struct DuplicateFinder {
  static constexpr std::size_t max_object_size = SIZE_MAX;
  static constexpr std::size_t max_array_size = SIZE_MAX;
  static constexpr std::size_t max_key_size = SIZE_MAX;
  static constexpr std::size_t max_string_size = SIZE_MAX;

  using error_code = boost::system::error_code;
  using string_view = boost::json::string_view;

  std::vector<std::set<std::string, std::less<>>> objects;
  std::string name;
  std::string duplicate;

  bool on_object_begin(error_code& /*ec*/) {
    objects.emplace_back();
    return true;
  }

  bool on_object_end(std::size_t /*n*/, error_code& /*ec*/) {
    objects.pop_back();
    return true;
  }

  bool on_key_part(string_view part, std::size_t /*n*/, error_code& /*ec*/) {
    name.append(part.data(), part.size());
    return true;
  }

  bool on_key(string_view part, std::size_t /*n*/, error_code& ec) {
    name.append(part.data(), part.size());
    if (!objects.back().insert(name).second) {
      duplicate = name;
      ec = boost::json::make_error_code(boost::json::error::extra_data);
      return false;
    }
    name.clear();
    return true;
  }

  bool on_document_begin(error_code& /*ec*/) { return true; }

  bool on_document_end(error_code& /*ec*/) { return true; }

  bool on_array_begin(error_code& /*ec*/) { return true; }

  bool on_array_end(std::size_t /*n*/, error_code& /*ec*/) { return true; }

  bool on_string_part(string_view /*part*/, std::size_t /*n*/, error_code& /*ec*/) { return true; }

  bool on_string(string_view /*part*/, std::size_t /*n*/, error_code& /*ec*/) { return true; }

  bool on_number_part(string_view /*part*/, error_code& /*ec*/) { return true; }

  bool on_int64(std::int64_t /*n*/, string_view /*part*/, error_code& /*ec*/) { return true; }

  bool on_uint64(std::uint64_t /*n*/, string_view /*part*/, error_code& /*ec*/) { return true; }

  bool on_double(double /*n*/, string_view /*part*/, error_code& /*ec*/) { return true; }

  bool on_bool(bool /*value*/, error_code& /*ec*/) { return true; }

  bool on_null(error_code& /*ec*/) { return true; }

  bool on_comment_part(string_view /*part*/, error_code& /*ec*/) { return true; }

  bool on_comment(string_view /*part*/, error_code& /*ec*/) { return true; }
};

boost::json::parse_options strict_options() {
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  return options;
}

// Octets of the well-formed UTF-8 character at the start (RFC 3629), 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto octet = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
  };
  const unsigned first = octet(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0 ? 2U : first >= 0xe0 && first < 0xf0 ? 3U : 4U;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((octet(i) & 0xc0U) != 0x80) return 0;
  }
  const unsigned second = octet(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second > 0x9f;
  const bool beyond = first == 0xf4 && second > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = utf8_length(text);
    if (length == 0)
      out += "\\ufffd";
    else if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f')
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += '"';
}

void append_json_number(std::string& out, double number) {
  out += std::isfinite(number) ? fmt::to_string(number) : "null";
}

Result<void> check_json(std::string_view text, std::size_t max_size) {
  if (text.size() > max_size) return fail(Errc::too_large, fmt::format("more than {} octets of JSON", max_size));
  boost::json::basic_parser<DuplicateFinder> parser(strict_options());
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (!parser.handler().duplicate.empty())
    return fail(Errc::duplicate, fmt::format("member \"{}\" stands twice in one object", parser.handler().duplicate));
  if (ec) return fail(Errc::malformed, fmt::format("not JSON at octet {}: {}", used, ec.message()));
  if (used != text.size()) return fail(Errc::malformed, fmt::format("more than one JSON document, at octet {}", used));
  return {};
}

Result<boost::json::value> parse_json(std::string_view text, std::size_t max_size) {
  QUIPU_TRY(check_json(text, max_size));
  try {
    boost::system::error_code ec;
    boost::json::value value = boost::json::parse({text.data(), text.size()}, ec, {}, strict_options());
    if (ec) return fail(Errc::malformed, fmt::format("not JSON: {}", ec.message()));
    return value;
  } catch (const std::exception& e) {
    return fail(Errc::malformed, fmt::format("not JSON: {}", e.what()));
  }
}

}  // namespace quipu::control
