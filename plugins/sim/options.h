// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/ip.h"
#include "quipu/driver.h"

namespace quipu::sim {

enum class Role : std::uint8_t { alice, bob };

// The link.options of a simulated link, each described in the table below.
struct SimOptions {
  Role role = Role::alice;
  Endpoint fibre;
  double skr_bit_s = 100'000;
  double qber = 0.019;
  double loss_db = 4.0;
  double initial_bits = 262'144;
  std::size_t block_octets = 4096;
};

// One key of link.options: what parse_options() takes and what the page in docs says come both from here.
struct OptionEntry {
  std::string_view key;
  // Numbers are optional, with the default that SimOptions has; the others have to be given.
  std::variant<Role SimOptions::*, Endpoint SimOptions::*, double SimOptions::*, std::size_t SimOptions::*> field;
  // Numbers: both ends included.
  double least = 0;
  double most = 0;
  std::string_view unit{};
  std::string_view help{};
};

std::span<const OptionEntry> option_table();
// "a number from 0 to 0.1", "a whole number from 32 to 16320 (octets)", "ADDRESS:PORT, for example 192.0.2.1:8030"
std::string permitted(const OptionEntry& entry);
// Empty when there is none.
std::string default_value(const OptionEntry& entry);

struct WrongOption {
  std::size_t index = 0;  // among those given; their number when one is missing
  std::string text;       // which, what it is, and what it may be
};

// Every key of the configuration, each at most once.
std::expected<SimOptions, WrongOption> parse_options(std::span<const struct quipu_option> options);

}  // namespace quipu::sim
