// SPDX-License-Identifier: Apache-2.0
#include "config/checks.h"

#include <algorithm>

namespace quipu::config {
namespace {

// sockaddr_un::sun_path, final zero included (unix(7)).
constexpr std::size_t kUnixPathSize = 108;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::optional<std::string> parse_name(std::string_view text) {
  if (text.empty() || text.size() > 32 || text.front() == '.' || text.front() == '-') return std::nullopt;
  if (!std::ranges::all_of(text, is_name_character)) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> parse_id(std::string_view text) {
  if (text.empty() || text.size() > 128) return std::nullopt;
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; })) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> parse_absolute_path(std::string_view text) {
  if (!text.starts_with('/') || text.size() > 4095 || text.find('\0') != std::string_view::npos) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> parse_socket_path(std::string_view text) {
  if (text.size() >= kUnixPathSize) return std::nullopt;
  return parse_absolute_path(text);
}

std::string_view unroutable(const IpPrefix& prefix) {
  static constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"0.0.0.0/8", "unspecified"},     {"127.0.0.0/8", kLoopback}, {"224.0.0.0/4", "multicast"},
      {"255.255.255.255", "broadcast"}, {"::", "unspecified"},      {"::1", kLoopback},
      {"::ffff:0:0/96", "IPv4-mapped"}, {"fe80::/10", kLinkLocal},  {"ff00::/8", "multicast"}};
  for (const auto& [text, kind] : kKinds) {
    const IpPrefix all = IpPrefix::parse(text).value();
    if (prefix.length >= all.length && all.contains(prefix.address)) return kind;
  }
  return {};
}

// A link-local address would need its interface, for which there is no form here.
void refuse_nobodys_address(const Section& section, std::string_view key, const HostPort& called) {
  if (!called.literal) return;
  const std::string_view kind = unroutable({called.literal->address, called.literal->address.bits()});
  if (!kind.empty() && kind != kLoopback)
    section.add(key, fmt::format("{} cannot be called: the address is {}", called.text(), kind),
                "write where the other end is reached");
}

std::optional<HostPort> read_host_port(const Section& section, std::string_view key) {
  auto out = section.parsed(key, HostPort::parse, "HOST:PORT with a port from 1 to 65535");
  if (out) refuse_nobodys_address(section, key, *out);
  return out;
}

TlsFiles read_tls_files(const Section& section) {
  return {
      .ca = section.file("ca"), .cert = section.file("cert"), .key = section.file("key"), .crl = section.file("crl")};
}

LogLevel read_log_level(const Section& section) {
  const std::string word = section.text("log_level").value_or("info");
  for (const LogLevel level : {LogLevel::error, LogLevel::warning, LogLevel::info, LogLevel::debug}) {
    if (to_string(level) == word) return level;
  }
  return LogLevel::info;
}

std::string read_name(const Section& section, std::string_view key) {
  return section.parsed(key, parse_name, kNameForm).value_or("");
}

std::string read_id(const Section& section, std::string_view key) {
  return section.parsed(key, parse_id, kIdForm).value_or("");
}

void UniqueValues::take(const Section& section, std::string_view key, const std::string& value) {
  take_at(section, section.position_of(key), key, value);
}

void UniqueValues::take_at(const Section& section, Position position, std::string_view key, const std::string& value) {
  if (value.empty()) return;
  const auto [first, fresh] = m_seen.emplace(value, position);
  if (!fresh)
    section.add_at(position, key,
                   fmt::format("{} \"{}\" is already used in line {}", m_what, value, first->second.line),
                   "use each once");
}

}  // namespace quipu::config
