// SPDX-License-Identifier: Apache-2.0
// What both files check alike. Inside src/config only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/log.h"
#include "config/section.h"
#include "config/types.h"

namespace quipu::config {

// 1 to 32 of a-z A-Z 0-9 . _ -, not starting with a dot or hyphen.
inline constexpr std::string_view kNameForm = "a name of 1 to 32 letters, digits, dots, underscores and hyphens";
std::optional<std::string> parse_name(std::string_view text);

// 1 to 128 octets of visible ASCII.
inline constexpr std::string_view kIdForm = "an id of 1 to 128 visible ASCII characters";
std::optional<std::string> parse_id(std::string_view text);

std::optional<std::string> parse_absolute_path(std::string_view text);
// Fits sockaddr_un.
std::optional<std::string> parse_socket_path(std::string_view text);

inline constexpr std::string_view kLoopback = "loopback";
inline constexpr std::string_view kLinkLocal = "link-local";

// What such addresses are, which no tunnel can lead to; empty for all others. A prefix that holds them among others, as
// the default route does, is good.
std::string_view unroutable(const IpPrefix& prefix);

// HOST:PORT of another machine, or of this one by loopback.
std::optional<HostPort> read_host_port(const Section& section, std::string_view key);
void refuse_nobodys_address(const Section& section, std::string_view key, const HostPort& called);

TlsFiles read_tls_files(const Section& section);
LogLevel read_log_level(const Section& section);
std::string read_name(const Section& section, std::string_view key);
std::string read_id(const Section& section, std::string_view key);

// Refuses the second use of a value that must be unique, naming where the first stands.
class UniqueValues {
 public:
  explicit UniqueValues(std::string what) : m_what(std::move(what)) {}

  // `key` of `section` has this value; empty ones (already refused) are passed over.
  void take(const Section& section, std::string_view key, const std::string& value);
  void take_at(const Section& section, Position position, std::string_view key, const std::string& value);

 private:
  std::string m_what;  // "peer name"
  std::map<std::string, Position> m_seen;
};

}  // namespace quipu::config
