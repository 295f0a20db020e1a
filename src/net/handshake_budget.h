// SPDX-License-Identifier: Apache-2.0
// How many TLS handshakes each sender may begin. A handshake costs us a signature and a key exchange before we know who
// asks: those of whoever floods must not delay the others.
//
// A stranger is counted with all that one host may own (sender_of in base/ip.h); a known sender by its own address, so
// that its neighbours in a /64 spend nothing of its share. This host's loopback is not counted: there, all users have
// one address, and any of them could spend what another needs.
#pragma once

#include <map>

#include "base/ip.h"
#include "base/time.h"

namespace quipu::net {

// So many at once, and then one each time `interval` has passed.
struct HandshakeRate {
  std::uint32_t burst = 1;
  Duration interval{};
};

struct HandshakeLimits {
  // Enough for all connections that an HttpsClient opens. Hundreds of strangers at once cost a part of a second.
  HandshakeRate stranger{.burst = 4, .interval = std::chrono::milliseconds(500)};
  // Of a sender that has ended a handshake with a certificate of ours: every one of them may be an application that
  // connects anew for each request.
  HandshakeRate known{.burst = 64, .interval = std::chrono::milliseconds(20)};
  std::size_t max_senders = 1024;  // that are kept in mind, of strangers and of known ones each
};

// Reads no clock.
class HandshakeBudget {
 public:
  explicit HandshakeBudget(const HandshakeLimits& limits) : m_limits(limits) {}

  // Whether another one may begin from there; if so it is counted.
  bool take(const IpAddress& from, TimePoint now);
  // One from there has ended with a certificate of ours.
  void know(const IpAddress& from, TimePoint now);

  bool is_known(const IpAddress& from) const { return m_known.contains(from); }

 private:
  // When what a sender has begun is forgotten; in the past when nothing is held against it.
  using Senders = std::map<IpAddress, TimePoint>;

  // Makes room for one more.
  void forget_one(Senders& senders, TimePoint now) const;

  HandshakeLimits m_limits;
  Senders m_strangers;
  Senders m_known;
};

}  // namespace quipu::net
