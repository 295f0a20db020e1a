// SPDX-License-Identifier: Apache-2.0
// The identifiers that cross layers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/strong.h"

namespace quipu {

// ETSI GS QKD 014: application or encryptor (SAE) and key management entity (KME); opaque text, compared octet by
// octet.
using SaeId = Strong<struct SaeIdTag, std::string>;
using KmeId = Strong<struct KmeIdTag, std::string>;
// key_ID as the KMS wrote it: 1 to 64 octets of text, usually a UUID.
using KeyId = Strong<struct KeyIdTag, std::string>;
inline constexpr std::size_t kMaxKeyIdSize = 64;

// A random UUID (RFC 9562 version 4), 16 octets.
struct Uuid {
  std::array<std::uint8_t, 16> octets{};

  auto operator<=>(const Uuid&) const = default;

  // From 16 random octets: sets version and variant.
  static Uuid from_random(std::array<std::uint8_t, 16> random);
  // Canonical text with dashes, either case. Any version is accepted.
  static std::optional<Uuid> parse(std::string_view text);
  // 36 characters, lower case.
  std::string text() const;
};

// One source block of a QKD link, named by both ends alike.
using BlockId = Strong<struct BlockIdTag, Uuid>;

}  // namespace quipu

template <>
struct std::hash<quipu::Uuid> {
  std::size_t operator()(const quipu::Uuid& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.octets.data(), sizeof value);  // random octets are their own hash
    return value;
  }
};
