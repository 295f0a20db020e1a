// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

namespace quipu::sim {
namespace {

constexpr std::array kOptions = {
    OptionEntry{.key = "role",
                .field = &SimOptions::role,
                .help = "Which end of the link this is: `alice` at one site, `bob` at the other."},
    OptionEntry{.key = "fibre",
                .field = &SimOptions::fibre,
                .help = "The emulated fibre, a TCP connection, the same at both ends: `alice` listens there, and it is "
                        "one of her addresses; `bob` connects to it. At `alice`, port 0 takes any free one."},
    OptionEntry{.key = "skr_bit_s",
                .field = &SimOptions::skr_bit_s,
                .least = 1,
                .most = 1e9,
                .unit = "bit/s",
                .help = "Mean secret key rate (SKR). That of `alice` counts."},
    OptionEntry{.key = "qber",
                .field = &SimOptions::qber,
                .least = 0,
                .most = 0.1,
                .help = "Mean quantum bit error rate (QBER), a ratio. It swings by 5 % of itself over 20 minutes, and "
                        "the SKR with it."},
    OptionEntry{.key = "loss_db",
                .field = &SimOptions::loss_db,
                .least = 0,
                .most = 100,
                .unit = "dB",
                .help = "Loss of the quantum channel: reported, and without influence on the rest."},
    OptionEntry{.key = "initial_bits",
                .field = &SimOptions::initial_bits,
                .least = 0,
                .most = 1e9,
                .unit = "bit",
                .help = "Key that is there at once each time the driver starts, as if the link had run before. That of "
                        "`alice` counts."},
    OptionEntry{.key = "block_octets",
                .field = &SimOptions::block_octets,
                .least = 32,
                .most = 16320,
                .unit = "octets",
                .help = "Size of one block of key material. That of `alice` counts."},
};

// Without an exponent, which nobody would write into a configuration.
std::string number_text(double number) {
  std::array<char, 64> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  return {text.data(), error == std::errc{} ? end : text.data()};
}

std::optional<double> parse_number(std::string_view value, const OptionEntry& entry) {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size()) return std::nullopt;
  if (!(number >= entry.least && number <= entry.most)) return std::nullopt;  // nor is it "nan"
  return number;
}

bool read(std::string_view value, const OptionEntry& /*entry*/, Role& out) {
  out = value == "alice" ? Role::alice : Role::bob;
  return value == "alice" || value == "bob";
}

bool read(std::string_view value, const OptionEntry& /*entry*/, Endpoint& out) {
  // Port 0 lets the system choose one; Endpoint has no such thing.
  const bool any_port = value.ends_with(":0");
  const auto endpoint = Endpoint::parse(any_port ? std::string(value) + "1" : std::string(value));
  if (!endpoint) return false;
  out = *endpoint;
  if (any_port) out.port = 0;
  return true;
}

bool read(std::string_view value, const OptionEntry& entry, double& out) {
  const auto number = parse_number(value, entry);
  if (number) out = *number;
  return number.has_value();
}

bool read(std::string_view value, const OptionEntry& entry, std::size_t& out) {
  const auto number = parse_number(value, entry);
  if (!number || *number != std::floor(*number)) return false;
  out = static_cast<std::size_t>(*number);
  return true;
}

std::string known_keys() {
  std::string out;
  for (const OptionEntry& entry : kOptions)
    out.append(out.empty() ? "" : ", ").append(entry.key);
  return out;
}

std::string wrong_value(std::string_view key, std::string_view value, std::string_view permitted) {
  return std::string(key) + " = \"" + std::string(value) + "\": has to be " + std::string(permitted);
}

// What is wrong with one option, if anything.
std::optional<std::string> take(const struct quipu_option& option, SimOptions& out) {
  const auto* const entry = std::ranges::find(kOptions, std::string_view(option.key), &OptionEntry::key);
  if (entry == kOptions.end()) return "unknown option " + std::string(option.key) + ": there are " + known_keys();
  const bool good = std::visit([&](auto field) { return read(option.value, *entry, out.*field); }, entry->field);
  if (good) return std::nullopt;
  return wrong_value(entry->key, option.value, permitted(*entry));
}

}  // namespace

std::span<const OptionEntry> option_table() {
  return kOptions;
}

std::string permitted(const OptionEntry& entry) {
  if (std::holds_alternative<Role SimOptions::*>(entry.field)) return "alice at one end and bob at the other";
  if (std::holds_alternative<Endpoint SimOptions::*>(entry.field)) return "ADDRESS:PORT, for example 192.0.2.1:8030";
  const bool whole = std::holds_alternative<std::size_t SimOptions::*>(entry.field);
  std::string out = whole ? "a whole number from " : "a number from ";
  out += number_text(entry.least) + " to " + number_text(entry.most);
  if (!entry.unit.empty()) out.append(" (").append(entry.unit).append(")");
  return out;
}

std::string default_value(const OptionEntry& entry) {
  const SimOptions defaults;
  if (const auto* const real = std::get_if<double SimOptions::*>(&entry.field)) return number_text(defaults.*(*real));
  if (const auto* const whole = std::get_if<std::size_t SimOptions::*>(&entry.field))
    return std::to_string(defaults.*(*whole));
  return {};
}

std::expected<SimOptions, WrongOption> parse_options(std::span<const struct quipu_option> options) {
  SimOptions out;
  std::set<std::string_view> seen;
  std::size_t fibre = options.size();
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (!seen.insert(options[i].key).second)
      return std::unexpected(WrongOption{i, std::string(options[i].key) + " is given twice"});
    if (auto wrong = take(options[i], out)) return std::unexpected(WrongOption{i, *std::move(wrong)});
    if (std::string_view(options[i].key) == "fibre") fibre = i;
  }
  for (const OptionEntry& entry : kOptions)
    if (default_value(entry).empty() && !seen.contains(entry.key))
      return std::unexpected(
          WrongOption{options.size(), std::string(entry.key) + " is missing: it has to be " + permitted(entry)});
  if (out.role == Role::bob && out.fibre.port == 0)
    return std::unexpected(
        WrongOption{fibre, wrong_value("fibre", options[fibre].value, "the port that Alice listens on, not 0")});
  return out;
}

}  // namespace quipu::sim
