// SPDX-License-Identifier: Apache-2.0
// Addresses as data: no socket is needed to hold, compare or print one.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace quipu {

enum class IpFamily : std::uint8_t { v4 = 4, v6 = 6 };

// An IPv4 address uses the first 4 octets, the rest is zero. An IPv4-mapped IPv6 address is never produced by our
// parsers.
struct IpAddress {
  IpFamily family = IpFamily::v4;
  std::array<std::uint8_t, 16> octets{};

  auto operator<=>(const IpAddress&) const = default;

  static std::optional<IpAddress> parse(std::string_view text);
  // From 4 or 16 octets in network order; anything else is a bug of the caller.
  static IpAddress from_octets(ByteView octets);

  ByteView view() const { return {octets.data(), family == IpFamily::v4 ? 4U : 16U}; }

  int bits() const { return family == IpFamily::v4 ? 32 : 128; }

  // 127.0.0.0/8 or ::1.
  bool is_loopback() const;

  std::string text() const;
};

// ADDRESS/LENGTH. As an interface address the host bits matter; as a route or AllowedIps entry they must be zero
// (masked()).
struct IpPrefix {
  IpAddress address;
  int length = 0;

  auto operator<=>(const IpPrefix&) const = default;

  // A bare address is a prefix of full length.
  static std::optional<IpPrefix> parse(std::string_view text);
  IpPrefix masked() const;
  bool contains(const IpAddress& other) const;

  // All of its addresses.
  bool contains(const IpPrefix& other) const { return other.length >= length && contains(other.address); }

  std::string text() const;
};

// What one host may own as a whole, and so is counted as one sender: an IPv4 address, an IPv6 /64 (its first address).
IpAddress sender_of(const IpAddress& address);

// The length of the longest of these prefixes that contains the other one; -1 when none does.
int longest_match(std::span<const IpPrefix> prefixes, const IpPrefix& inside);

// Where datagrams go to and come from.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  // Interface index of a link-local IPv6 address, else 0.
  std::uint32_t scope = 0;

  auto operator<=>(const Endpoint&) const = default;

  // "192.0.2.1:51900", "[2001:db8::1]:51900"
  static std::optional<Endpoint> parse(std::string_view text);
  std::string text() const;
};

}  // namespace quipu
