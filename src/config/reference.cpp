// SPDX-License-Identifier: Apache-2.0
#include "config/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/key_table.h"
#include "config/units.h"

namespace quipu::config {
namespace {

constexpr std::string_view kHead =
    "# Configuration\n"
    "\n"
    "Every key of the two configuration files, TOML v1.0 both. This page is made by `quipu check --reference` from the "
    "tables that the\n"
    "parsers themselves work with. A key that is not here is an error, told with line, column and the nearest key "
    "there is; `quipu check\n"
    "FILE` tells all that is wrong with a file at once. How the files come to be: [two-sites.md](two-sites.md).\n"
    "\n"
    "A value of type *file* is an absolute path, or `credential:NAME` for a credential that the service manager hands "
    "over. Keys with a\n"
    "default, and those that are neither required nor have one, may be left out.\n";

// As it stands in the file: [kms.NAME], [[peer]], sources of [[peer]].
std::string heading(std::string_view section) {
  const std::size_t inner = section.find("[].");
  if (inner != std::string_view::npos) {
    std::string_view name = section.substr(inner + 3);
    if (name.ends_with("[]")) name.remove_suffix(2);
    return fmt::format("`{}` in `[[{}]]`", name, section.substr(0, inner));
  }
  if (section.ends_with("[]")) return fmt::format("`[[{}]]`", section.substr(0, section.size() - 2));
  return fmt::format("`[{}]`", section);
}

std::string type_text(const ConfigKey& key) {
  if (key.type == KeyType::word) {
    std::string words(key.words);
    for (std::size_t at = 0; (at = words.find(' ', at)) != std::string::npos; at += 4)
      words.replace(at, 1, "`, `");
    return "one of `" + words + "`";
  }
  return std::string(to_string(key.type));
}

std::string range_text(const ConfigKey& key) {
  std::string unit = key.unit.empty() ? std::string() : " " + std::string(key.unit);
  switch (key.type) {
    case KeyType::integer: return fmt::format("{} to {}{}", key.min, key.max, unit);
    case KeyType::text_list: return fmt::format("{} to {} elements", key.min, key.max);
    case KeyType::table_list: return key.max == 0 ? "" : fmt::format("at most {}", key.max);
    default: return unit;
  }
}

std::string default_text(const ConfigKey& key) {
  if (key.required) return "required";
  if (key.default_value.empty()) return "";
  const bool quoted = key.type == KeyType::text || key.type == KeyType::word || key.type == KeyType::file;
  const std::string_view quotes = quoted ? "\"" : "";
  return fmt::format("`{0}{1}{0}`", quotes, key.default_value);
}

std::string section_text(std::span<const ConfigKey> keys, std::string_view section) {
  std::string out = fmt::format("\n### {}\n\n| key | type | range | default | meaning |\n|---|---|---|---|---|\n",
                                section.empty() ? "Sections" : heading(section));
  for (const ConfigKey& key : keys)
    if (key.section == section)
      out += fmt::format("| `{}` | {} | {} | {} | {} |\n", key.name, type_text(key), range_text(key), default_text(key),
                         key.help);
  return out;
}

std::string file_text(const Unit& unit, std::span<const ConfigKey> keys) {
  std::string out = fmt::format("\n## {}: {}\n", unit.daemon, unit.configuration);
  std::string_view last = "none yet";
  for (const ConfigKey& key : keys) {
    // The sections' own names that an author chooses need no table: [kms.NAME] has one.
    if (key.section == last || (key.name == "NAME" && key.type == KeyType::table)) continue;
    last = key.section;
    out += section_text(keys, key.section);
  }
  return out;
}

}  // namespace

std::string reference() {
  return std::string(kHead) + file_text(kQuipudUnit, quipud_keys()) + file_text(kKmsdUnit, kmsd_keys());
}

}  // namespace quipu::config
