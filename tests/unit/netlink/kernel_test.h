// SPDX-License-Identifier: Apache-2.0
// A real kernel for plans, each test in a network namespace of its own:
//
//   quipu0 (TUN, the tunnel) ---- protected prefixes
//   up0    (TUN, the uplink) ---- default route; what leaves in clear can be read from its descriptor
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/freed_by.h"
#include "base/unique_fd.h"
#include "netlink/route_socket.h"
#include "support/network_namespace.h"

namespace quipu::netlink {

inline void in_namespace(const std::function<void()>& body) {
  test::in_network_namespace("ip link set lo up", body);
}

inline UniqueFd open_tun(const std::string& name) {
  UniqueFd device(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  EXPECT_EQ(::ioctl(device.get(), TUNSETIFF, &request), 0);
  return device;
}

inline void run(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

inline std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 256> chunk{};
  while (std::fgets(chunk.data(), chunk.size(), pipe) != nullptr)
    out += chunk.data();
  ::pclose(pipe);
  return out;
}

inline constexpr std::string_view kCanary = "in clear";

// Sends one datagram to the discard port; false when the kernel refuses, as it does for a blackhole.
inline bool send_canary(const std::string& to) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  EXPECT_EQ(::getaddrinfo(to.c_str(), "9", &hints, &found), 0) << to;
  const std::unique_ptr<addrinfo, FreedBy<::freeaddrinfo>> address(found);
  if (address == nullptr) return false;
  const UniqueFd socket(::socket(address->ai_family, address->ai_socktype, 0));
  return ::sendto(socket.get(), kCanary.data(), kCanary.size(), 0, address->ai_addr, address->ai_addrlen) > 0;
}

// How many canaries wait on a TUN. A send puts the packet into the device's queue before it returns.
inline int canaries(const UniqueFd& device) {
  int count = 0;
  std::array<char, 2048> packet{};
  for (;;) {
    const ssize_t size = ::read(device.get(), packet.data(), packet.size());
    if (size < 0) return count;
    if (std::string_view(packet.data(), static_cast<std::size_t>(size)).ends_with(kCanary)) ++count;
  }
}

inline UniqueFd open_uplink() {
  UniqueFd uplink = open_tun("up0");
  run("ip addr add 198.51.100.1/24 dev up0 && ip -6 addr add 2001:db8:ffff::1/64 dev up0 nodad && ip link set up0 up");
  run("ip route add default dev up0 metric 100 && ip -6 route add default dev up0 metric 100");
  return uplink;
}

inline LinkPlan plan_of(const std::vector<std::string>& allowed_ips,
                        const std::vector<std::string>& addresses = {"10.70.0.1/24", "2001:db8:70::1/64"},
                        int mtu = 1420, const std::vector<std::string>& local_networks = {}) {
  LinkConfig config{"quipu0", mtu, {}, {}, {}, {}};
  for (const std::string& text : addresses)
    config.addresses.push_back(IpPrefix::parse(text).value());
  for (const std::string& text : allowed_ips)
    config.allowed_ips.push_back(IpPrefix::parse(text).value());
  for (const std::string& text : local_networks)
    config.local_networks.push_back(IpPrefix::parse(text).value());
  return plan_link(config).value();
}

inline LinkPlan plan_with_local(const std::vector<std::string>& allowed_ips,
                                const std::vector<std::string>& local_networks) {
  return plan_of(allowed_ips, {"10.70.0.1/24"}, 1420, local_networks);
}

inline std::string all_that_is_ours() {
  return output_of(
      "ip rule show pref 81; ip -6 rule show pref 81; ip route show table all proto 81; "
      "ip -6 route show table all proto 81");
}

inline RouteSocket open_socket() {
  auto socket = RouteSocket::open();
  EXPECT_TRUE(socket);
  return std::move(*socket);
}

#define EXPECT_OK(expression)                                 \
  do {                                                        \
    const auto quipu_r = (expression);                        \
    EXPECT_TRUE(quipu_r.has_value()) << quipu_r.error().text; \
  } while (false)

struct InEffect {
  UniqueFd uplink;
  UniqueFd tunnel;
  LinkPlan plan;
  RouteSocket socket;
};

// Guarded and applied.
inline InEffect in_effect(LinkPlan plan) {
  InEffect out{open_uplink(), open_tun("quipu0"), std::move(plan), open_socket()};
  EXPECT_OK(out.socket.guard(out.plan));
  EXPECT_OK(out.socket.apply(out.plan));
  return out;
}

// What the kernel announces of routes, one to a datagram, from here on.
class RemovedRoutes {
 public:
  RemovedRoutes() : m_socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
    EXPECT_EQ(::bind(m_socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  // RTN_... of those of our protocol that were removed.
  std::vector<int> types() const {
    std::vector<int> out;

    struct {
      nlmsghdr header;
      rtmsg route;
    } message{};

    while (::recv(m_socket.get(), &message, sizeof message, 0) > 0)
      if (message.header.nlmsg_type == RTM_DELROUTE && message.route.rtm_protocol == kRouteProtocol)
        out.push_back(message.route.rtm_type);
    return out;
  }

 private:
  UniqueFd m_socket;
};

// Routes of our protocol with the prefix, table and metric of a guard of plan_in_place().
inline std::vector<std::string> routes_in_place() {
  const std::string hops6 = "nexthop via fe80::8 dev other0 nexthop via fe80::9 dev other0";
  return {"10.12.0.0/16 proto 81 metric 4294967295 table 81 dev other0",
          "10.12.0.0/16 proto 81 metric 4294967295 dev other0",
          "10.12.0.0/16 proto 81 metric 4294967295 table 81 nexthop dev other0 nexthop dev other0",
          "throw 10.12.0.0/16 proto 81 metric 4294967295 table 81",
          "10.12.9.0/24 proto 81 metric 2 table 81 dev other0",
          "2001:db8:12::/48 proto 81 metric 4294967295 table 81 dev other0",
          "2001:db8:12::/48 proto 81 metric 4294967295 dev other0",
          "2001:db8:12::/48 proto 81 metric 4294967295 table 81 " + hops6,
          "throw 2001:db8:12::/48 proto 81 metric 4294967295 table 81"};
}

inline LinkPlan plan_in_place() {
  return plan_of({"10.2.0.0/16", "10.12.0.0/16", "2001:db8:2::/48", "2001:db8:12::/48"},
                 {"10.70.0.1/24", "2001:db8:70::1/64"}, 1420, {"10.12.9.0/24"});
}

// That plan: nothing is missing, nothing else of ours is left, and the tunnel has the packets.
inline void expect_in_effect(RouteSocket& socket, const UniqueFd& tunnel) {
  const auto found = socket.inspect(plan_in_place());
  ASSERT_TRUE(found.has_value()) << found.error().text;
  EXPECT_THAT(found->missing_guards, testing::IsEmpty());
  EXPECT_THAT(found->missing_tunnels, testing::IsEmpty());
  EXPECT_THAT(all_that_is_ours(), testing::Not(testing::HasSubstr("other0")));
  for (const std::string to : {"10.12.3.4", "2001:db8:12::4"})
    EXPECT_TRUE(send_canary(to)) << to;
  EXPECT_EQ(canaries(tunnel), 2);
}

}  // namespace quipu::netlink
