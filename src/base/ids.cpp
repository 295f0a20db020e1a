// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include "base/encoding.h"

namespace quipu {
namespace {

constexpr std::size_t kTextSize = 36;

constexpr bool is_dash_position(std::size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

}  // namespace

Uuid Uuid::from_random(std::array<std::uint8_t, 16> random) {
  random[6] = static_cast<std::uint8_t>((random[6] & 0x0f) | 0x40);
  random[8] = static_cast<std::uint8_t>((random[8] & 0x3f) | 0x80);
  return Uuid{random};
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != kTextSize) return std::nullopt;
  std::string digits;
  for (std::size_t i = 0; i < kTextSize; ++i) {
    if ((text[i] == '-') != is_dash_position(i)) return std::nullopt;
    if (text[i] != '-') digits += text[i];
  }
  const auto octets = from_hex(digits);
  if (!octets) return std::nullopt;
  return Uuid{ByteReader(*octets).array<16>()};
}

std::string Uuid::text() const {
  std::string out = to_hex(octets);
  for (const std::size_t dash : {8U, 13U, 18U, 23U})
    out.insert(dash, 1, '-');
  return out;
}

}  // namespace quipu
