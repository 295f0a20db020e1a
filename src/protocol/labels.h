// SPDX-License-Identifier: Apache-2.0
// Every text that separates one use of a hash or key from another. None begins with another one, and each is followed
// by fields of fixed size or with lengths, so that no two inputs coincide. docs/protocol.md prints this table.
#pragma once

#include <cstdint>
#include <string_view>

namespace quipu::protocol::labels {

// Handshake
inline constexpr std::string_view kNoiseName = "Noise_IKhfs+psk1+psk2_25519+MLKEM768_AESGCM_SHA512";
inline constexpr std::string_view kPrologue = "Quipu wire 1";
inline constexpr std::uint8_t kSuite = 1;  // X25519, ML-KEM-768, AES-256-GCM, SHA-512

// The two keys that are mixed in from outside
inline constexpr std::string_view kPsk1 = "quipu v1 psk1";
inline constexpr std::string_view kPsk2 = "quipu v1 psk2";

// Keys from a chaining key
inline constexpr std::string_view kReject = "quipu v1 reject";
inline constexpr std::string_view kData = "quipu v1 data";

// Keys from a static public key: known to whoever knows it
inline constexpr std::string_view kMac1 = "quipu v1 mac1";
inline constexpr std::string_view kCookie = "quipu v1 cookie";

inline constexpr std::string_view kAll[] = {kNoiseName, kPrologue, kPsk1, kPsk2, kReject, kData, kMac1, kCookie};

}  // namespace quipu::protocol::labels
