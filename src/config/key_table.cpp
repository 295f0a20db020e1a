// SPDX-License-Identifier: Apache-2.0
#include "config/key_table.h"

#include <algorithm>

namespace quipu::config {

std::string_view to_string(KeyType type) {
  switch (type) {
    case KeyType::text: return "text";
    case KeyType::integer: return "integer";
    case KeyType::boolean: return "boolean";
    case KeyType::word: return "word";
    case KeyType::file: return "file";
    case KeyType::text_list: return "list of text";
    case KeyType::scalar: return "text, number or boolean";
    case KeyType::table: return "table";
    case KeyType::table_list: return "list of tables";
  }
  return "unknown";
}

const ConfigKey* find_key(std::span<const ConfigKey> keys, std::string_view section, std::string_view name) {
  const auto found =
      std::ranges::find_if(keys, [&](const ConfigKey& key) { return key.section == section && key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace quipu::config
