// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace quipu {
namespace {

int system_family(IpFamily family) {
  return family == IpFamily::v4 ? AF_INET : AF_INET6;
}

std::optional<int> parse_number(std::string_view text, int largest) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > largest) return std::nullopt;
  return value;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress out;
  out.family = text.find(':') == std::string_view::npos ? IpFamily::v4 : IpFamily::v6;
  if (inet_pton(system_family(out.family), std::string(text).c_str(), out.octets.data()) != 1) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  return out;
}

bool IpAddress::is_loopback() const {
  if (family == IpFamily::v4) return octets[0] == 127;
  return view().back() == 1 && std::ranges::all_of(view().first(15), [](std::uint8_t octet) { return octet == 0; });
}

IpAddress IpAddress::from_octets(ByteView octets) {
  QUIPU_ASSERT(octets.size() == 4 || octets.size() == 16);
  IpAddress out;
  out.family = octets.size() == 4 ? IpFamily::v4 : IpFamily::v6;
  std::copy(octets.begin(), octets.end(), out.octets.begin());
  return out;
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  const char* text = inet_ntop(system_family(family), octets.data(), out.data(), out.size());
  QUIPU_ASSERT(text != nullptr);
  return text;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return IpPrefix{*address, address->bits()};
  const auto length = parse_number(text.substr(slash + 1), address->bits());
  if (!length) return std::nullopt;
  return IpPrefix{*address, *length};
}

IpPrefix IpPrefix::masked() const {
  IpPrefix out = *this;
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(length - i * 8, 0, 8);
    auto& octet = out.address.octets[static_cast<std::size_t>(i)];
    octet = static_cast<std::uint8_t>(octet & (0xff00 >> kept));
  }
  return out;
}

bool IpPrefix::contains(const IpAddress& other) const {
  return other.family == address.family && IpPrefix{other, length}.masked() == masked();
}

std::string IpPrefix::text() const {
  return address.text() + "/" + std::to_string(length);
}

IpAddress sender_of(const IpAddress& address) {
  constexpr int kIpv6Network = 64;
  return IpPrefix{address, address.family == IpFamily::v6 ? kIpv6Network : address.bits()}.masked().address;
}

int longest_match(std::span<const IpPrefix> prefixes, const IpPrefix& inside) {
  int longest = -1;
  for (const IpPrefix& prefix : prefixes)
    if (prefix.contains(inside)) longest = std::max(longest, prefix.length);
  return longest;
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_number(text.substr(colon + 1), 65535);
  if (!address || !port || *port == 0 || bracketed != (address->family == IpFamily::v6)) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

std::string Endpoint::text() const {
  const std::string host = address.family == IpFamily::v6 ? "[" + address.text() + "]" : address.text();
  return host + ":" + std::to_string(port);
}

}  // namespace quipu
