// SPDX-License-Identifier: Apache-2.0
#include "config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_MAX_NESTED_VALUES 16
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace quipu::config {
namespace {

// Keys such as a.b.c nest a table per dot, without a limit in the parser, and tables are freed recursively.
constexpr std::size_t kMaxDotsPerLine = 32;

std::unexpected<std::vector<Problem>> refuse(Position position, std::string problem, std::string advice) {
  return std::unexpected(std::vector<Problem>{{position, {}, std::move(problem), std::move(advice)}});
}

Position position_of(const toml::source_region& region) {
  return {static_cast<std::uint32_t>(region.begin.line), static_cast<std::uint32_t>(region.begin.column)};
}

// Dots outside strings and comments.
std::size_t count_dots(std::string_view line) {
  std::size_t dots = 0;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#') {
      break;
    } else if (c == '.') {
      ++dots;
    }
  }
  return dots;
}

std::optional<Problem> refuse_hostile(std::string_view text) {
  Position at{1, 1};
  for (std::size_t begin = 0; begin < text.size(); ++at.line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    for (const std::string_view quotes : {R"(""")", "'''"}) {
      if (const std::size_t found = line.find(quotes); found != std::string_view::npos) {
        at.column = static_cast<std::uint32_t>(found + 1);
        return Problem{at, {}, "a multi-line string", "write the text between single quotation marks, on one line"};
      }
    }
    if (count_dots(line) > kMaxDotsPerLine)
      return Problem{at,
                     {},
                     fmt::format("more than {} dots outside of strings", kMaxDotsPerLine),
                     "break the line; keys nest four deep at most"};
    begin = end + 1;
  }
  return std::nullopt;
}

Value convert(const toml::node& node);

Table convert_table(const toml::table& table) {
  Table out;
  out.reserve(table.size());
  for (const auto& [key, node] : table)
    out.push_back({std::string(key.str()), position_of(key.source()), convert(node)});
  std::ranges::stable_sort(
      out,
      [](const Position& a, const Position& b) { return std::pair(a.line, a.column) < std::pair(b.line, b.column); },
      &Member::position);
  return out;
}

Array convert_array(const toml::array& array) {
  Array out;
  out.reserve(array.size());
  for (const toml::node& node : array)
    out.push_back(convert(node));
  return out;
}

Value convert(const toml::node& node) {
  Value out{position_of(node.source()), UnusedType{}};
  if (const auto* text = node.as_string()) out.data = text->get();
  if (const auto* integer = node.as_integer()) out.data = integer->get();
  if (const auto* real = node.as_floating_point()) out.data = real->get();
  if (const auto* boolean = node.as_boolean()) out.data = boolean->get();
  if (const auto* array = node.as_array()) out.data = convert_array(*array);
  if (const auto* table = node.as_table()) out.data = convert_table(*table);
  return out;
}

}  // namespace

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kNames[] = {"a date or time", "text",   "an integer", "a real number",
                                                "a boolean",      "a list", "a table"};
  return kNames[value.data.index()];
}

Parsed<Table> parse_document(std::string_view text) {
  if (text.size() > kMaxDocumentSize)
    return refuse({}, fmt::format("longer than {} octets", kMaxDocumentSize), "is this the right file?");
  if (auto problem = refuse_hostile(text)) return std::unexpected(std::vector{*std::move(problem)});
  try {
    const toml::parse_result result = toml::parse(text);
    if (!result)
      return refuse(position_of(result.error().source()), fmt::format("not TOML: {}", result.error().description()),
                    "correct the line");
    return convert_table(result.table());
  } catch (const std::exception& e) {
    return refuse({}, fmt::format("not readable as TOML: {}", e.what()), "is this the right file?");
  }
}

}  // namespace quipu::config
