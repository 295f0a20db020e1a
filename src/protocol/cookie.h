// SPDX-License-Identifier: Apache-2.0
// Cookies against floods of handshake messages from forged addresses, as in WireGuard: under load a receiver does no
// costly work before the sender has shown, by mac2, that it reads what is sent to its address. docs/protocol.md,
// "Cookies".
#pragma once

#include <array>
#include <optional>

#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/hash.h"
#include "crypto/rng.h"
#include "crypto/x25519.h"
#include "protocol/messages.h"

namespace quipu::protocol {

inline constexpr Duration kCookieSecretLifetime = std::chrono::seconds(120);
// The sender stops using a cookie a little before the receiver forgets the secret behind it.
inline constexpr Duration kCookieLifetime = std::chrono::seconds(115);

// The receiver's side; one per Device. Holds one secret, made anew every kCookieSecretLifetime.
class CookieChecker {
 public:
  explicit CookieChecker(const crypto::X25519PublicKey& own);

  // Whether mac2 is that of the sender's address and port. For messages whose mac1 was found right.
  bool check_mac2(ByteView message, const Endpoint& from, TimePoint now, crypto::Rng& rng);

  // Answer to an initiation or a response whose mac1 was found right; never larger than they are. Errc::malformed for
  // any other message.
  Outcome<std::array<std::uint8_t, kCookieReplySize>> create_reply(ByteView message, const Endpoint& from,
                                                                   TimePoint now, crypto::Rng& rng);

 private:
  crypto::Mac cookie_for(const Endpoint& from, TimePoint now, crypto::Rng& rng);

  std::array<std::uint8_t, 32> m_key;  // of cookie replies; from our public key
  Secret<32> m_secret;
  std::optional<TimePoint> m_made;
};

// The sender's side; one per peer.
class CookieGenerator {
 public:
  explicit CookieGenerator(const crypto::X25519PublicKey& peer);

  // For each transmission of a message of type 1, 2 or 6 to the peer: fills mac2 when there is a cookie that still
  // holds, else sets it to zeros; remembers mac1, since only an answer to this very message is believed.
  void add_mac2(MutableBytes message, TimePoint now);

  // Errc::malformed, or Errc::authentication: not an answer to the last message.
  Outcome<void> consume_reply(ByteView reply, TimePoint now);

 private:
  std::array<std::uint8_t, 32> m_key;
  std::optional<crypto::Mac> m_last_mac1;
  std::optional<crypto::Mac> m_cookie;
  TimePoint m_received{};
};

}  // namespace quipu::protocol
