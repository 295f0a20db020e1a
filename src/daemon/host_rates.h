// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/ip.h"
#include "protocol/rate.h"

namespace quipu::daemon {

// How often each host on this side is told by ICMP that its packets are too large: RFC 4443 section 2.4 (f) wants some
// limit. Hosts share a fixed number of buckets by their addresses, so that whoever makes addresses up needs no memory,
// and no one host uses up what all others are told.
class HostRates {
 public:
  static constexpr std::size_t kBuckets = 256;
  static constexpr Duration kInterval = std::chrono::milliseconds(100);
  static constexpr int kBurst = 10;

  // Whether this one may be told now.
  bool take(const IpAddress& host, TimePoint now) { return m_buckets[index(host)].take(now); }

  // FNV-1a, folded. Below kBuckets.
  static std::size_t index(const IpAddress& host) {
    std::uint32_t hash = 0x811c9dc5;
    for (const std::uint8_t octet : host.view())
      hash = static_cast<std::uint32_t>(std::uint64_t{hash ^ octet} * 0x01000193);
    return (hash ^ hash >> 16) % kBuckets;
  }

 private:
  std::vector<protocol::TokenBucket> m_buckets = std::vector(kBuckets, protocol::TokenBucket(kInterval, kBurst));
};

}  // namespace quipu::daemon
