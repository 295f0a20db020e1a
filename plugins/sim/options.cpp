// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>
#include <string>

namespace quipu::sim {
namespace {

std::unexpected<Error> refuse(std::string_view key, std::string_view value, std::string_view permitted) {
  return fail(Errc::out_of_range,
              std::string(key) + " = \"" + std::string(value) + "\": must be " + std::string(permitted));
}

struct NumberOption {
  std::string_view key;
  double SimOptions::* field;
  double least;
  double most;
};

constexpr std::array kNumbers = {
    NumberOption{"skr_bit_s", &SimOptions::skr_bit_s, 1, 1e9},
    NumberOption{"qber", &SimOptions::qber, 0, 0.1},
    NumberOption{"loss_db", &SimOptions::loss_db, 0, 100},
    NumberOption{"initial_bits", &SimOptions::initial_bits, 0, 1e9},
};

Result<double> parse_number(std::string_view key, std::string_view value, double least, double most) {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc{} && end == value.data() + value.size() && number >= least && number <= most) return number;
  std::array<char, 64> range{};
  std::snprintf(range.data(), range.size(), "a number from %g to %g", least, most);
  return refuse(key, value, range.data());
}

Result<void> parse_one(std::string_view key, std::string_view value, SimOptions& out) {
  for (const NumberOption& number : kNumbers) {
    if (key != number.key) continue;
    QUIPU_TRY_ASSIGN(out.*number.field, parse_number(key, value, number.least, number.most));
    return {};
  }
  if (key == "block_octets") {
    QUIPU_TRY_ASSIGN(const double octets, parse_number(key, value, 32, 16320));
    if (octets != std::floor(octets)) return refuse(key, value, "a whole number");
    out.block_octets = static_cast<std::size_t>(octets);
    return {};
  }
  if (key == "role") {
    if (value != "alice" && value != "bob") return refuse(key, value, "\"alice\" at one end and \"bob\" at the other");
    out.role = value == "alice" ? Role::alice : Role::bob;
    return {};
  }
  if (key == "fibre") {
    // Port 0 lets the system choose one; Endpoint has no such thing.
    const bool any_port = value.ends_with(":0");
    const auto endpoint = Endpoint::parse(any_port ? std::string(value) + "1" : std::string(value));
    if (!endpoint) return refuse(key, value, "ADDRESS:PORT, for example 192.0.2.1:8030");
    out.fibre = *endpoint;
    if (any_port) out.fibre.port = 0;
    return {};
  }
  return fail(Errc::unsupported,
              "unknown option " + std::string(key) +
                  ": there are role, fibre, skr_bit_s, qber, loss_db, initial_bits and block_octets");
}

}  // namespace

Result<SimOptions> parse_options(std::span<const struct quipu_option> options) {
  SimOptions out;
  std::set<std::string_view> seen;
  for (const struct quipu_option& option : options) {
    if (!seen.insert(option.key).second) return fail(Errc::duplicate, std::string(option.key) + " is given twice");
    QUIPU_TRY(parse_one(option.key, option.value, out));
  }
  for (const std::string_view needed : {"role", "fibre"})
    if (!seen.contains(needed)) return fail(Errc::not_found, std::string(needed) + " is missing");
  if (out.role == Role::bob && out.fibre.port == 0) return refuse("fibre", "port 0", "the port that Alice listens on");
  return out;
}

}  // namespace quipu::sim
