// SPDX-License-Identifier: Apache-2.0
#include "config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>

// toml++ 3.3 asserts where it should refuse: "[[(" ends the process, and is undefined behaviour when assertions are
// off. An assertion of the parser is therefore a refusal here, in every kind of build.
namespace quipu::config {
namespace {
struct ParserAssertion : std::exception {
  const char* what() const noexcept override { return "unexpected characters"; }
};

constexpr void require_of_parser(bool condition) {
  if (!condition) throw ParserAssertion{};
}
}  // namespace
}  // namespace quipu::config

#undef NDEBUG
#define TOML_ASSERT(expr) ::quipu::config::require_of_parser(static_cast<bool>(expr))
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

struct LineScan {
  std::size_t dots = 0;                    // outside strings and comments
  std::optional<std::size_t> non_ascii;    // likewise: where the first octet above 127 stands
  std::optional<std::size_t> stray_quote;  // opens no string, or one that does not end in the line
};

// The index of the quotation mark that ends the string begun at `begin`, or npos.
std::size_t end_of_string(std::string_view line, std::size_t begin) {
  const char quote = line[begin];
  for (std::size_t i = begin + 1; i < line.size(); ++i) {
    if (line[i] == quote) return i;
    if (line[i] == '\\' && quote == '"') ++i;
  }
  return std::string_view::npos;
}

// A string follows an equals sign, a bracket or a comma, or begins the line: where another quotation mark
// stands, this scan and the parser could differ about what is inside of strings.
LineScan scan_line(std::string_view line) {
  LineScan out;
  char before = '=';
  for (std::size_t i = 0; i < line.size() && line[i] != '#'; ++i) {
    const char c = line[i];
    if (c == '"' || c == '\'') {
      const std::size_t end = end_of_string(line, i);
      if (std::string_view("=[{,").find(before) == std::string_view::npos || end == std::string_view::npos) {
        out.stray_quote = i;
        break;
      }
      i = end;
    }
    if (c == '.') ++out.dots;
    if (static_cast<unsigned char>(c) > 127 && !out.non_ascii) out.non_ascii = i;
    if (c != ' ' && c != '\t') before = c;
  }
  return out;
}

std::optional<Problem> refuse_line(std::string_view line, std::uint32_t number) {
  const auto at = [&](std::size_t index) { return Position{number, static_cast<std::uint32_t>(index + 1)}; };
  for (const std::string_view quotes : {R"(""")", "'''"}) {
    if (const std::size_t found = line.find(quotes); found != std::string_view::npos)
      return Problem{
          at(found), {}, "a multi-line string", "write the text between single quotation marks, on one line"};
  }
  const LineScan scan = scan_line(line);
  if (scan.dots > kMaxDotsPerLine)
    return Problem{at(0),
                   {},
                   fmt::format("more than {} dots outside of strings", kMaxDotsPerLine),
                   "break the line; keys nest four deep at most"};
  if (scan.non_ascii)
    return Problem{at(*scan.non_ascii),
                   {},
                   "a character outside of ASCII",
                   "such characters may only stand in quotation marks and in comments"};
  if (scan.stray_quote)
    return Problem{at(*scan.stray_quote),
                   {},
                   "a quotation mark that begins no text, or a text that does not end",
                   "texts begin and end in one line, with the same quotation mark"};
  return std::nullopt;
}

// What the parser must not see: it would exhaust the stack, and some characters are undefined behaviour in toml++ 3.3.
std::optional<Problem> refuse_hostile(std::string_view text) {
  std::uint32_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (auto problem = refuse_line(text.substr(begin, end - begin), number)) return problem;
    begin = end + 1;
  }
  return std::nullopt;
}

std::string_view line_of(std::string_view text, std::uint32_t number) {
  for (; number > 1 && text.contains('\n'); --number)
    text.remove_prefix(text.find('\n') + 1);
  return text.substr(0, text.find('\n'));
}

// "[NAME]", and not "[[NAME]]".
bool opens_table(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return line.starts_with('[') && !line.starts_with("[[") && line.contains(']');
}

Value convert(const toml::node& node);

Table convert_table(const toml::table& table) {
  Table out;
  out.reserve(table.size());
  for (const auto& [key, node] : table)
    out.push_back({std::string(key.str()), position_of(key.source()), convert(node)});
  std::ranges::sort(out, {},
                    [](const Member& member) { return std::pair(member.position.line, member.position.column); });
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
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  if (auto problem = refuse_hostile(text)) return std::unexpected(std::vector{*std::move(problem)});
  try {
    const toml::parse_result result = toml::parse(text);
    if (!result) {
      const Position position = position_of(result.error().source());
      return refuse(position, fmt::format("not TOML: {}", result.error().description()),
                    opens_table(line_of(text, position.line))
                        ? "a table stands once; what may stand several times has double brackets, as in [[peer]]"
                        : "correct the line");
    }
    return convert_table(result.table());
  } catch (const std::exception& e) {
    return refuse({}, fmt::format("not TOML: {}", e.what()),
                  "correct the text; look at the lines in square brackets first");
  }
}

Parsed<std::vector<std::string>> top_level_names(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return std::unexpected(std::move(document.error()));
  std::vector<std::string> out;
  for (const Member& member : *document)
    out.push_back(member.key);
  return out;
}

}  // namespace quipu::config
