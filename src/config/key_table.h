// SPDX-License-Identifier: Apache-2.0
// The tables of configuration keys. Parsing takes types, ranges and defaults from here and from nowhere else, and the
// reference in docs is written from here.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quipu::config {

enum class KeyType { text, integer, boolean, word, file, text_list, scalar, table, table_list };

std::string_view to_string(KeyType type);

struct ConfigKey {
  // "device", "kms.NAME", "peer[]", "peer[].sources[]"; empty for the sections themselves.
  std::string_view section{};
  std::string_view name{};  // "NAME" where the file's author chooses the name
  KeyType type = KeyType::text;
  bool required = false;
  // As it would stand in the file, text without quotes. Empty: no default, the key is absent unless set.
  std::string_view default_value{};
  std::string_view unit{};
  std::int64_t min = 0;  // integers; for text_list and table_list the least number of elements
  std::int64_t max = 0;
  std::string_view words{};  // for KeyType::word: the permitted ones, separated by spaces
  std::string_view help{};
};

// Half of what the KMS keeps in a pool.
inline constexpr std::int64_t kMaxRelayStockBit = 268'435'456;

std::span<const ConfigKey> quipud_keys();
std::span<const ConfigKey> kmsd_keys();

// The entry for a key, or null.
const ConfigKey* find_key(std::span<const ConfigKey> keys, std::string_view section, std::string_view name);

}  // namespace quipu::config
