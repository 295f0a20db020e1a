// SPDX-License-Identifier: Apache-2.0
// What a laboratory consists of (`quipu lab up --topology FILE`), typed and validated.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"

namespace quipu::config {

inline constexpr std::size_t kMaxLabSites = 16;
inline constexpr std::uint32_t kMaxLabLinks = 4;  // between the same two sites

// Two sites, in the order of the alphabet.
using LabPair = std::array<std::string, 2>;

// A simulated QKD link.
struct LabLinkConfig {
  LabPair between{};
  std::uint32_t number = 1;                      // of those between the two
  std::map<std::string, std::string> options{};  // of driver sim, in place of what the laboratory gives every link

  bool operator==(const LabLinkConfig&) const = default;
};

// Key that comes over trusted nodes.
struct LabRelayConfig {
  LabPair between{};
  std::uint32_t stock_bit = 0;
  std::uint32_t paths = 1;

  bool operator==(const LabRelayConfig&) const = default;
};

// How the keys of two sites are made of what their links bring.
struct LabPoolConfig {
  LabPair between{};
  std::string combiner{};  // as in [[peer_kme]]

  bool operator==(const LabPoolConfig&) const = default;
};

struct LabTopology {
  std::vector<std::string> sites{};  // lower-case letters, each once
  std::vector<std::string> trusted_nodes{};
  std::vector<LabLinkConfig> links{};
  std::vector<LabPoolConfig> pools{};  // of those that have links
  std::vector<LabRelayConfig> relays{};
  std::vector<LabPair> tunnels{};

  bool operator==(const LabTopology&) const = default;
};

// Never throws, reads nothing but `text`. All problems are reported at once.
Parsed<LabTopology> parse_lab_topology(std::string_view text);

}  // namespace quipu::config
