// SPDX-License-Identifier: Apache-2.0
#include "net/local_address.h"

#include <gtest/gtest.h>

namespace quipu::net {
namespace {

TEST(LocalAddress, IsOnAnInterfaceOrStandsForAll) {
  for (const char* here : {"127.0.0.1", "127.0.0.2", "0.0.0.0"})
    EXPECT_TRUE(is_address_here(*IpAddress::parse(here))) << here;
  // RFC 5737, RFC 3849: for documentation, on no host.
  for (const char* nowhere : {"192.0.2.77", "2001:db8::77"})
    EXPECT_FALSE(is_address_here(*IpAddress::parse(nowhere))) << nowhere;
}

}  // namespace
}  // namespace quipu::net
