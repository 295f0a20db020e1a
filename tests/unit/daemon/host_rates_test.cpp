// SPDX-License-Identifier: Apache-2.0
#include "daemon/host_rates.h"

#include <gtest/gtest.h>

#include <set>

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

const IpAddress kLoud = *IpAddress::parse("192.168.1.2");
const IpAddress kOther = *IpAddress::parse("192.168.1.3");
constexpr TimePoint kStart{1000s};

TEST(HostRates, OneHostUsesUpItsOwnOnly) {
  HostRates rates;
  int told = 0;
  for (int i = 0; i < 1000; ++i)
    told += rates.take(kLoud, kStart) ? 1 : 0;
  EXPECT_EQ(told, HostRates::kBurst);
  EXPECT_TRUE(rates.take(kOther, kStart));
  EXPECT_FALSE(rates.take(kLoud, kStart + HostRates::kInterval - 1ms));
  EXPECT_TRUE(rates.take(kLoud, kStart + HostRates::kInterval));
}

TEST(HostRates, TheHostsOfANetworkAreSpreadOverThem) {
  for (const std::string_view network : {"192.168.1.0", "2001:db8::"}) {
    IpAddress host = *IpAddress::parse(network);
    std::set<std::size_t> used;
    for (unsigned i = 0; i < 128; ++i) {
      host.octets[host.view().size() - 1] = static_cast<std::uint8_t>(i);
      used.insert(HostRates::index(host));
    }
    EXPECT_GT(used.size(), 80U) << network;
    EXPECT_LT(*used.rbegin(), HostRates::kBuckets);
  }
}

}  // namespace
}  // namespace quipu::daemon
