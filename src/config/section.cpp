// SPDX-License-Identifier: Apache-2.0
#include "config/section.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "base/assert.h"
#include "base/nearest_name.h"
#include "config/units.h"

namespace quipu::config {
namespace {

constexpr std::string_view kChosenName = "NAME";

// The nearest of the section's keys when it is near enough to be meant; else empty.
std::string_view nearest(std::span<const ConfigKey> keys, std::string_view section, std::string_view name) {
  std::vector<std::string_view> names;
  for (const ConfigKey& key : keys)
    if (key.section == section) names.push_back(key.name);
  return nearest_name(names, name);
}

std::string known_names(std::span<const ConfigKey> keys, std::string_view section) {
  std::string out;
  for (const ConfigKey& key : keys) {
    if (key.section == section) out += fmt::format("{}{}", out.empty() ? "" : ", ", key.name);
  }
  return out;
}

std::string join(std::string_view path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

bool is_one_of(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

// "peer[].sources[]" as it stands in a file: "peer.sources".
std::string plain_path(std::string_view section) {
  std::string out(section);
  for (std::size_t at = out.find("[]"); at != std::string::npos; at = out.find("[]"))
    out.erase(at, 2);
  return out;
}

// The line that opens a section: "[device]", "[[peer]]".
std::string header(std::string_view section) {
  const std::string path = plain_path(section);
  return section.ends_with("[]") ? fmt::format("[[{}]]", path) : fmt::format("[{}]", path);
}

// "[device]", and "[kms.NAME]" where the tables inside have names of the author's choice.
std::string table_header(const ConfigKey& key, std::span<const ConfigKey> keys) {
  const std::string section = join(key.section, key.name);
  const ConfigKey* const chosen = find_key(keys, section, kChosenName);
  const bool holds_tables = chosen != nullptr && chosen->type == KeyType::table;
  return header(holds_tables ? join(section, kChosenName) : section);
}

// What a value has to be, for messages: "an integer from 1 to 3600 (s)".
std::string expected(const ConfigKey& key, std::span<const ConfigKey> keys) {
  switch (key.type) {
    case KeyType::integer:
      return fmt::format("an integer from {} to {}{}", key.min, key.max,
                         key.unit.empty() ? std::string() : fmt::format(" ({})", key.unit));
    case KeyType::boolean: return "true or false, without quotation marks";
    case KeyType::word: return fmt::format("one of: {}", key.words);
    case KeyType::text_list: return fmt::format("a list of {} to {} texts", key.min, key.max);
    case KeyType::table: return fmt::format("one table: write {}, with single brackets", table_header(key, keys));
    case KeyType::table_list:
      return fmt::format("a list of tables: write {} for each, with double brackets",
                         header(join(key.section, key.name) + "[]"));
    case KeyType::scalar: return "a text, a number or a boolean";
    case KeyType::file: return "a text: an absolute path, or credential:NAME";
    case KeyType::text: break;
  }
  return "a text, in quotation marks";
}

bool is_file_name(std::string_view name) {
  if (name.find('\0') != std::string_view::npos || name.size() > 4095) return false;
  if (name.starts_with('/')) return true;
  if (!name.starts_with(kCredential)) return false;
  name.remove_prefix(kCredential.size());
  return !name.empty() && name.size() <= 255 && name.find('/') == std::string_view::npos && name != "." && name != "..";
}

}  // namespace

void Problems::add(Position position, std::string key, std::string problem, std::string advice) {
  if (m_list.size() < kMax) m_list.push_back({position, std::move(key), std::move(problem), std::move(advice)});
}

std::vector<Problem> Problems::sorted() && {
  std::ranges::sort(m_list, {}, [](const Problem& problem) {
    return std::tuple(problem.position.line, problem.position.column, std::string_view(problem.key));
  });
  return std::move(m_list);
}

Section::Section(const Table& table, Position position, std::string_view section, std::string path,
                 std::span<const ConfigKey> keys, Problems& problems)
    : m_table(&table),
      m_position(position),
      m_section(section),
      m_path(std::move(path)),
      m_keys(keys),
      m_problems(&problems) {
  if (find_key(keys, section, kChosenName) != nullptr) return;
  for (const Member& member : table) {
    if (find_key(keys, section, member.key) == nullptr) refuse_unknown(member);
  }
}

void Section::refuse_unknown(const Member& member) const {
  std::string advice;
  const auto elsewhere = std::ranges::find_if(
      m_keys, [&](const ConfigKey& key) { return key.name == member.key && !key.section.empty(); });
  const std::string_view near = nearest(m_keys, m_section, member.key);
  if (!near.empty() && (elsewhere == m_keys.end() || edit_distance(member.key, near) <= 2))
    advice = fmt::format("did you mean \"{}\"?", near);
  else if (elsewhere != m_keys.end() && elsewhere->type == KeyType::table)
    advice = fmt::format("write [{}.{}], behind its {}", plain_path(elsewhere->section), member.key,
                         header(elsewhere->section));
  else if (elsewhere != m_keys.end())
    advice = fmt::format("it belongs in {}", header(elsewhere->section));
  else
    advice = fmt::format("known here: {}", known_names(m_keys, m_section));
  m_problems->add(member.position, path_of(member.key), "unknown key", std::move(advice));
}

const ConfigKey& Section::key(std::string_view name) const {
  const ConfigKey* found = find_key(m_keys, m_section, name);
  if (found == nullptr) found = find_key(m_keys, m_section, kChosenName);
  QUIPU_ASSERT(found != nullptr);
  return *found;
}

const Member* Section::find(std::string_view name) const {
  const auto found = std::ranges::find(*m_table, name, &Member::key);
  return found == m_table->end() ? nullptr : &*found;
}

Position Section::position_of(std::string_view name) const {
  const Member* const member = find(name);
  return member != nullptr ? member->position : m_position;
}

std::string Section::path_of(std::string_view name) const {
  return join(m_path, name);
}

void Section::add(std::string_view name, std::string problem, std::string advice) const {
  add_at(position_of(name), name, std::move(problem), std::move(advice));
}

void Section::add_at(Position position, std::string_view name, std::string problem, std::string advice) const {
  m_problems->add(position, path_of(name), std::move(problem), std::move(advice));
}

template <class T>
const T* Section::get(std::string_view name) const {
  const ConfigKey& entry = key(name);
  const Member* const member = find(name);
  if (member == nullptr) {
    if (entry.required) add(name, "missing", fmt::format("add it: {}", entry.help));
    return nullptr;
  }
  const T* const value = std::get_if<T>(&member->value.data);
  if (value == nullptr)
    add(name, fmt::format("is {}", type_name(member->value)), fmt::format("it has to be {}", expected(entry, m_keys)));
  return value;
}

std::optional<std::string> Section::text(std::string_view name) const {
  const ConfigKey& entry = key(name);
  if (!has(name) && !entry.default_value.empty()) return std::string(entry.default_value);
  const auto* const value = get<std::string>(name);
  if (value == nullptr) return std::nullopt;
  const bool good = entry.type == KeyType::word   ? is_one_of(entry.words, *value)
                    : entry.type == KeyType::file ? is_file_name(*value)
                                                  : !value->empty();
  if (good) {
    if (entry.type == KeyType::file) refuse_foreign_credential(name, *value);
    return *value;
  }
  add(name, value->empty() ? std::string("is empty") : fmt::format("\"{}\" is not permitted", *value),
      fmt::format("it has to be {}", expected(entry, m_keys)));
  return std::nullopt;
}

FileName Section::file(std::string_view name) const {
  return {.name = text(name).value_or(""), .position = position_of(name), .key = path_of(name)};
}

void Section::refuse_foreign_credential(std::string_view name, std::string_view file) const {
  const bool kmsd = find_key(m_keys, "", "kme") != nullptr;
  const Unit& own = kmsd ? kKmsdUnit : kQuipudUnit;
  const Unit& foreign = kmsd ? kQuipudUnit : kKmsdUnit;
  const std::string foreign_prefix = fmt::format("{}{}", kCredential, foreign.credential_prefix);
  if (!file.starts_with(foreign_prefix)) return;
  add(name, fmt::format("\"{}\" is handed to {}, and not to {}", file, foreign.daemon, own.daemon),
      fmt::format("put the file into {} and write \"{}{}{}\"", own.credential_folder, kCredential,
                  own.credential_prefix, file.substr(foreign_prefix.size())));
}

std::optional<std::int64_t> Section::integer(std::string_view name) const {
  const ConfigKey& entry = key(name);
  if (!has(name) && !entry.default_value.empty()) {
    std::int64_t value = 0;
    const std::string_view text = entry.default_value;
    QUIPU_ASSERT(std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{});
    return value;
  }
  const auto* const value = get<std::int64_t>(name);
  if (value == nullptr) return std::nullopt;
  if (*value >= entry.min && *value <= entry.max) return *value;
  add(name, fmt::format("{} is out of range", *value), fmt::format("it has to be {}", expected(entry, m_keys)));
  return std::nullopt;
}

std::optional<bool> Section::boolean(std::string_view name) const {
  const ConfigKey& entry = key(name);
  if (!has(name) && !entry.default_value.empty()) return entry.default_value == "true";
  const auto* const value = get<bool>(name);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::vector<ListItem>> Section::text_list(std::string_view name) const {
  const ConfigKey& entry = key(name);
  const auto* const array = get<Array>(name);
  if (array == nullptr) return std::nullopt;
  const auto size = static_cast<std::int64_t>(array->size());
  if (size < entry.min || size > entry.max) {
    add(name, fmt::format("has {} elements", size), fmt::format("it has to be {}", expected(entry, m_keys)));
    return std::nullopt;
  }
  std::vector<ListItem> out;
  for (const Value& value : *array) {
    if (const auto* const text = std::get_if<std::string>(&value.data))
      out.push_back({*text, value.position});
    else
      add_at(value.position, name, fmt::format("holds {}", type_name(value)), "put each element in quotation marks");
  }
  return out;
}

std::optional<std::string> Section::scalar(std::string_view name) const {
  const Member* const member = find(name);
  if (member == nullptr) return std::nullopt;
  if (const auto* const text = std::get_if<std::string>(&member->value.data)) return *text;
  if (const auto* const integer = std::get_if<std::int64_t>(&member->value.data)) return fmt::to_string(*integer);
  if (const auto* const real = std::get_if<double>(&member->value.data)) return fmt::to_string(*real);
  if (const auto* const boolean = std::get_if<bool>(&member->value.data)) return *boolean ? "true" : "false";
  add(name, fmt::format("is {}", type_name(member->value)),
      fmt::format("it has to be {}", expected(key(name), m_keys)));
  return std::nullopt;
}

std::optional<Section> Section::table(std::string_view name) const {
  const auto* const members = get<Table>(name);
  if (members == nullptr) return std::nullopt;
  const ConfigKey& entry = key(name);
  // The key table names sections as static texts; find the one that this member opens.
  const std::string opened = join(m_section, entry.name);
  const auto inner = std::ranges::find(m_keys, opened, &ConfigKey::section);
  QUIPU_ASSERT(inner != m_keys.end());
  return Section(*members, find(name)->value.position, inner->section, path_of(name), m_keys, *m_problems);
}

std::vector<Section> Section::tables(std::string_view name) const {
  std::vector<Section> out;
  const ConfigKey& entry = key(name);
  const auto* const array = get<Array>(name);
  if (array == nullptr) return out;
  if (entry.max != 0 && static_cast<std::int64_t>(array->size()) > entry.max) {
    add(name, fmt::format("has {} elements", array->size()), fmt::format("at most {} are permitted", entry.max));
    return out;
  }
  const std::string opened = join(m_section, entry.name) + "[]";
  const auto inner = std::ranges::find(m_keys, opened, &ConfigKey::section);
  QUIPU_ASSERT(inner != m_keys.end());
  for (std::size_t i = 0; i < array->size(); ++i) {
    const Value& value = (*array)[i];
    const std::string path = fmt::format("{}[{}]", path_of(name), i + 1);
    if (const auto* const members = std::get_if<Table>(&value.data))
      out.emplace_back(*members, value.position, inner->section, path, m_keys, *m_problems);
    else
      m_problems->add(value.position, path, fmt::format("is {}", type_name(value)), "it has to be a table");
  }
  return out;
}

bool Section::holds_table(std::string_view name) const {
  const Member* const member = find(name);
  return member != nullptr && std::holds_alternative<Table>(member->value.data);
}

std::vector<std::string> Section::names() const {
  std::vector<std::string> out;
  for (const Member& member : *m_table)
    out.push_back(member.key);
  return out;
}

}  // namespace quipu::config
