// SPDX-License-Identifier: Apache-2.0
// One table of a configuration file, read under its part of the key table. Inside src/config only.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/key_table.h"

namespace quipu::config {

// Collects problems while sections are read.
class Problems {
 public:
  // More than this in one file helps nobody; the rest is dropped.
  static constexpr std::size_t kMax = 100;

  void add(Position position, std::string key, std::string problem, std::string advice);

  bool empty() const { return m_list.empty(); }

  std::vector<Problem> sorted() &&;

 private:
  std::vector<Problem> m_list;
};

struct ListItem {
  std::string text;
  Position position;
};

// Getters return nothing when the key is absent without a default, or wrong; what is wrong was then added to the
// problems. A name that is not in the key table is a bug. References the tree and the problems, which outlive it.
class Section {
 public:
  // Refuses members that the key table does not have.
  Section(const Table& table, Position position, std::string_view section, std::string path,
          std::span<const ConfigKey> keys, Problems& problems);

  std::optional<std::string> text(std::string_view name) const;  // KeyType text, word and file
  FileName file(std::string_view name) const;                    // KeyType::file; one without a name for nothing
  std::optional<std::int64_t> integer(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::vector<ListItem>> text_list(std::string_view name) const;
  // KeyType::scalar: any plain value as text.
  std::optional<std::string> scalar(std::string_view name) const;

  // KeyType::table; nothing when absent.
  std::optional<Section> table(std::string_view name) const;
  // KeyType::table_list; empty when absent.
  std::vector<Section> tables(std::string_view name) const;
  // Members of a section whose names the file's author chose.
  std::vector<std::string> names() const;
  bool holds_table(std::string_view name) const;

  // A text through `parse`, which returns an optional; `form` says what it has to look like.
  template <class Parse>
  auto parsed(std::string_view name, Parse parse, std::string_view form, std::string advice = "correct the value") const
      -> decltype(parse(std::string_view())) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    auto out = parse(std::string_view(*value));
    if (!out) add(name, fmt::format("\"{}\" is not {}", *value, form), std::move(advice));
    return out;
  }

  // A problem with this key, where it stands (or where the section does).
  void add(std::string_view name, std::string problem, std::string advice) const;
  void add_at(Position position, std::string_view name, std::string problem, std::string advice) const;

  bool has(std::string_view name) const { return find(name) != nullptr; }

  Position position() const { return m_position; }

  Position position_of(std::string_view name) const;

 private:
  const Member* find(std::string_view name) const;
  const ConfigKey& key(std::string_view name) const;
  // The member if it is there and of the C++ type that its KeyType asks for.
  template <class T>
  const T* get(std::string_view name) const;
  std::string path_of(std::string_view name) const;
  void refuse_unknown(const Member& member) const;
  void refuse_foreign_credential(std::string_view name, std::string_view file) const;

  const Table* m_table;
  Position m_position;
  std::string_view m_section;  // as in the key table
  std::string m_path;          // as in the file
  std::span<const ConfigKey> m_keys;
  Problems* m_problems;
};

}  // namespace quipu::config
