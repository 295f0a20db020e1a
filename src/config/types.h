// SPDX-License-Identifier: Apache-2.0
// What both configuration files are made of. Nothing here reads a file: the text comes in, and file names are data.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace quipu::config {

// Where a value stands in the file, from 1; 0 where there is no such place. Two settings are equal wherever they stand.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  bool operator==(const Position& /*other*/) const { return true; }
};

// One thing that is wrong with the file. `key` is the path of the key as written, for example "peer[2].endpoint".
struct Problem {
  Position position{};
  std::string key{};
  std::string problem{};  // what is wrong
  std::string advice{};   // what to do

  // "FILE:LINE:COLUMN: KEY: what is wrong; what to do", in one line; what is not printable ASCII is escaped as in \x1b.
  std::string text(std::string_view file_name) const;
};

// A configuration, or everything that is wrong with the text, in the order of the file.
template <class T>
using Parsed = std::expected<T, std::vector<Problem>>;

// All problems in one Error (Errc::malformed), one line each.
Error to_error(std::string_view file_name, const std::vector<Problem>& problems);

// The names at the top level of a TOML text, in its order.
Parsed<std::vector<std::string>> top_level_names(std::string_view text);

// A file by absolute path, or a systemd credential as "credential:NAME". Only the name, and the key that it stands at:
// who opens it is src/service, and has something to tell of that key when it cannot.
struct FileName {
  std::string name{};
  Position position{};
  std::string key{};  // as in Problem

  bool operator==(const FileName& other) const { return name == other.name; }
};

// HOST:PORT, where HOST is a name or an address (IPv6 in brackets).
struct HostPort {
  std::string host{};
  std::uint16_t port = 0;
  std::optional<Endpoint> literal{};  // present when HOST is an address: nothing to resolve

  bool operator==(const HostPort&) const = default;
  static std::optional<HostPort> parse(std::string_view text);
  std::string text() const;
};

// https://HOST[:PORT][/PATH], PATH without a trailing slash; port 443 when absent. No user, query or fragment.
struct HttpsUrl {
  HostPort server{};
  std::string path{};

  bool operator==(const HttpsUrl&) const = default;
  static std::optional<HttpsUrl> parse(std::string_view text);
  std::string text() const;
};

// The files of one end of a mutual TLS connection, all PEM.
struct TlsFiles {
  FileName ca{};
  FileName cert{};
  FileName key{};
  FileName crl{};  // without a name: nothing is revoked

  bool operator==(const TlsFiles&) const = default;
};

// What was found in them when they were read. Not refused, for it can be meant so.
std::optional<Problem> doubt_about(const TlsFiles& files, bool ca_holds_an_authority, bool ca_issued_cert);

}  // namespace quipu::config
