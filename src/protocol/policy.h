// SPDX-License-Identifier: Apache-2.0
// What a tunnel demands of its QKD keys. Both ends are configured alike; the canonical encoding travels in message 1
// and is compared octet by octet, so there is nothing to negotiate and nothing to downgrade.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"
#include "protocol/handshake.h"

namespace quipu::protocol {

enum class QkdUse : std::uint8_t { off = 0, preferred = 1, required = 2 };
enum class TunnelMode : std::uint8_t { tun = 1, tap = 2 };
enum class Cipher : std::uint8_t { aes_256_gcm = 1 };

std::string_view to_string(QkdUse use);

// One QKD key source of a tunnel. Its position in Policy::sources is its slot, alike at both ends.
struct KeySource {
  std::string kms;  // local name of the KMS; not on the wire
  SaeId own;
  SaeId peer;
  KeyKind kind = KeyKind::etsi014;
  bool simulated = false;

  bool operator==(const KeySource&) const = default;
};

inline constexpr std::size_t kMaxSources = 8;
// Longer canonical encodings travel as their hash, so that message 1 fits one datagram.
inline constexpr std::size_t kMaxPolicyOnWire = 32;

struct Policy {
  QkdUse qkd = QkdUse::required;
  // How many of the sources an epoch needs under `required`; 0 stands for all.
  std::uint8_t min_sources = 0;
  std::vector<KeySource> sources;
  TunnelMode mode = TunnelMode::tun;
  Cipher cipher = Cipher::aes_256_gcm;

  bool operator==(const Policy&) const = default;

  // The number of keys without which no epoch may start: 0 under off and preferred.
  std::size_t keys_needed() const;
  // Errc::out_of_range with a text that says what to change: sources without use, use without sources, min_sources
  // above their number, too many sources, SAE ids that are empty, longer than 255 octets or alike.
  Result<void> check() const;

  // The same octets at both ends: SAE ids are written in the order of the two static keys.
  Bytes canonical(const crypto::X25519PublicKey& own, const crypto::X25519PublicKey& peer) const;
};

// canonical() itself when it is short enough, else its BLAKE2b-256.
Bytes policy_on_wire(ByteView canonical);

// "x25519+mlkem768+psk" or "x25519+mlkem768+psk+qkd(2)", with "-simulated" behind qkd(n) when a key came from a
// simulated source: what an epoch achieved, apart from what was asked for.
std::string protection_text(std::size_t qkd_keys, bool simulated);

enum class QkdState : std::uint8_t {
  off,      // the policy uses no QKD keys
  ok,       // epochs are made with a key of each source
  reduced,  // the present epoch has fewer, and the policy allows it
  stretch,  // `required`, no key to be had: the present epoch goes on up to its max_key_age
  block,    // `required`, no key to be had, and no epoch left: data stops
};

std::string_view to_string(QkdState state);

// Why a handshake had no QKD key. Each end knows it of itself, or was told by the peer.
enum class Lack : std::uint8_t {
  keys_here,      // the KMS here gives none
  keys_there,     // the peer's KMS gives it none
  unknown_here,   // the KMS here does not know those that the peer names
  unknown_there,  // the peer's KMS does not know those that we name
};

std::string_view to_string(Lack lack);

enum class KeyDecision : std::uint8_t {
  proceed,          // the keys at hand are all that were asked for
  proceed_reduced,  // fewer, and the policy allows it: log, count, show
  stretch,          // not enough; an epoch is up: keep it, try again later
  block,            // not enough, and no epoch: data stops
};

// The only function that decides what a lack of keys means.
KeyDecision decide(const Policy& policy, std::size_t keys_at_hand, bool epoch_up);

}  // namespace quipu::protocol
