// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <initializer_list>

#include "base/secret.h"

namespace quipu::crypto {

inline constexpr std::size_t kHashSize = 64;
using Hash = std::array<std::uint8_t, kHashSize>;

// SHA-512 (FIPS 180-4) over the parts, one after the other.
Hash sha512(std::initializer_list<ByteView> parts);

// Keyed BLAKE2b with 16 octets of output (RFC 7693), the MAC of handshake messages. Key: 1 to 64 octets.
inline constexpr std::size_t kMacSize = 16;
using Mac = std::array<std::uint8_t, kMacSize>;
Mac blake2b_mac(ByteView key, std::initializer_list<ByteView> parts);
// BLAKE2b without a key, 32 octets.
std::array<std::uint8_t, 32> blake2b_256(std::initializer_list<ByteView> parts);

// HMAC-SHA-512 (RFC 2104) over the parts, and HKDF with it (RFC 5869).
Secret<kHashSize> hmac_sha512(ByteView key, std::initializer_list<ByteView> parts);
Secret<kHashSize> hkdf_extract(ByteView salt, ByteView input_key_material);
// out.size() <= 255 * 64. `prk` is usually a Secret<64>.
void hkdf_expand(ByteView prk, std::initializer_list<ByteView> info, MutableBytes out);

}  // namespace quipu::crypto
