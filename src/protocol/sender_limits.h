// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "base/ip.h"
#include "protocol/rate.h"
#include "protocol/timing.h"

namespace quipu::protocol {

// How many handshake messages are opened, while there is load, for senders that have proven their address by a cookie
// and nothing else. A cookie costs its owner nothing, and opening a message costs us an X25519, so there is a limit per
// address (for IPv6 per /64, which one host may own as a whole) and one for all of them together. The table of
// addresses is bounded; while it is full of active ones, further addresses have to wait.
class SenderLimits {
 public:
  bool take(const IpAddress& from, TimePoint now);

 private:
  TokenBucket* bucket_of(const IpAddress& from, TimePoint now);

  std::map<IpAddress, TokenBucket> m_senders;
  TimePoint m_cleaned{};
  TokenBucket m_all{kStrangersInterval, kStrangersBurst};
};

}  // namespace quipu::protocol
