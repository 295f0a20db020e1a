// SPDX-License-Identifier: Apache-2.0
// Wegman-Carter authentication by Poly1305 (RFC 8439 section 2.5) under a key that is used for one message only.
//
// The bound holds against any computing power: with a random key of its own, a message of L octets is forged in one
// attempt with a probability of at most 8 * ceil(L / 16) / 2^106. A second message under one key would give the key
// away: whoever calls takes each key from fresh material and wipes it.
#pragma once

#include <array>
#include <initializer_list>

#include "base/secret.h"

namespace quipu::crypto {

inline constexpr std::size_t kOneTimeKeySize = 32;
inline constexpr std::size_t kOneTimeTagSize = 16;
using OneTimeTag = std::array<std::uint8_t, kOneTimeTagSize>;

// Over the parts, one after the other.
OneTimeTag one_time_tag(std::span<const std::uint8_t, kOneTimeKeySize> key, std::initializer_list<ByteView> parts);

}  // namespace quipu::crypto
