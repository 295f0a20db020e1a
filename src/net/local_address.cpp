// SPDX-License-Identifier: Apache-2.0
#include "net/local_address.h"

#include <sys/socket.h>

#include "base/unique_fd.h"
#include "net/sockaddr.h"

namespace quipu::net {

// The kernel binds a socket without IP_FREEBIND to nothing else.
bool is_address_here(const IpAddress& address) {
  const SocketAddress name = to_sockaddr(Endpoint{address, 0});
  const UniqueFd fd(::socket(name.get()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd && ::bind(fd.get(), name.get(), name.size) == 0;
}

}  // namespace quipu::net
