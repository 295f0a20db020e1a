// SPDX-License-Identifier: Apache-2.0
#include "net/sockaddr.h"

namespace quipu::net {

SocketAddress to_sockaddr(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.family == IpFamily::v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.octets.data(), sizeof in.sin_addr);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
    return out;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(endpoint.port);
  in.sin6_scope_id = endpoint.scope;
  std::memcpy(&in.sin6_addr, endpoint.address.octets.data(), sizeof in.sin6_addr);
  std::memcpy(&out.storage, &in, sizeof in);
  out.size = sizeof in;
  return out;
}

std::optional<Endpoint> from_sockaddr(const sockaddr* address, socklen_t size) {
  if (size >= sizeof(sockaddr_in) && address->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    const auto* octets = reinterpret_cast<const std::uint8_t*>(&in.sin_addr);
    return Endpoint{IpAddress::from_octets({octets, 4}), ntohs(in.sin_port), 0};
  }
  if (size < sizeof(sockaddr_in6) || address->sa_family != AF_INET6) return {};
  sockaddr_in6 in{};
  std::memcpy(&in, address, sizeof in);
  const auto* octets = reinterpret_cast<const std::uint8_t*>(&in.sin6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
    return Endpoint{IpAddress::from_octets({octets + 12, 4}), ntohs(in.sin6_port), 0};
  const std::uint32_t scope = IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr) ? in.sin6_scope_id : 0;
  return Endpoint{IpAddress::from_octets({octets, 16}), ntohs(in.sin6_port), scope};
}

std::optional<Endpoint> local_endpoint(int fd) {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (::getsockname(fd, address.get(), &address.size) != 0) return {};
  return from_sockaddr(address.get(), address.size);
}

}  // namespace quipu::net
