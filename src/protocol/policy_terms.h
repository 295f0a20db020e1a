// SPDX-License-Identifier: Apache-2.0
// A policy as both ends see it alike: what its canonical encoding holds (docs/protocol.md, section 9), and, where two
// differ, which settings do, in the words of the configuration file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/policy.h"

namespace quipu::protocol {

struct PolicyTerms {
  struct Source {
    KeyKind kind = KeyKind::etsi014;
    bool simulated = false;
    SaeId low;  // at the end with the lower static public key
    SaeId high;

    bool operator==(const Source&) const = default;
  };

  QkdUse qkd = QkdUse::required;
  std::uint8_t keys_needed = 0;
  TunnelMode mode = TunnelMode::tun;
  Cipher cipher = Cipher::aes_256_gcm;
  std::vector<Source> sources;

  bool operator==(const PolicyTerms&) const = default;
};

PolicyTerms terms_of(const Policy& policy, bool own_is_low);

Bytes encode_terms(const PolicyTerms& terms);
// Errc::malformed for anything but what encode_terms() makes: noise, or another version's.
Outcome<PolicyTerms> decode_terms(ByteView octets);

// Our side of a comparison.
struct OwnTerms {
  PolicyTerms terms;
  TunnelId tunnel;
  bool is_low = false;
};

// Every setting that differs, with both values. Empty when none does. What the peer wrote is shown in printable ASCII.
std::string differing_settings(const OwnTerms& own, const PolicyTerms& peer);

// What can be said of a peer's message 1 that is not as we are configured.
std::string mismatch_told(const OwnTerms& own, const InitiationPayload& payload);
// Likewise of its reject for `policy_mismatch`.
std::string mismatch_told(const OwnTerms& own, const Reject& reject);

}  // namespace quipu::protocol
