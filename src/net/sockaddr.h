// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "base/ip.h"

namespace quipu::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_sockaddr(const Endpoint& endpoint);
// Empty optional for other families. IPv4-mapped IPv6 addresses become IPv4 ones.
std::optional<Endpoint> from_sockaddr(const sockaddr* address, socklen_t size);
// The local end of a socket.
std::optional<Endpoint> local_endpoint(int fd);

}  // namespace quipu::net
