// SPDX-License-Identifier: Apache-2.0
// Which of the connections that have not ended their TLS handshake gives way to a newcomer.
#pragma once

#include <optional>
#include <span>

#include "base/ip.h"

namespace quipu::net {

struct HalfOpenConnection {
  std::uint64_t id = 0;  // the smaller, the older
  IpAddress from;
  bool is_known = false;  // by a handshake that it has ended before
  bool said_hello = false;
};

struct Room {
  bool is_there = true;
  std::optional<std::uint64_t> gives_way;  // the one whose place it is
};

// `limit` is how many there may be, of which one sender may hold a quarter. TlsAcceptor::Options says who comes first.
Room room_for(const IpAddress& newcomer, bool is_known, std::span<const HalfOpenConnection> held, std::size_t limit);

}  // namespace quipu::net
