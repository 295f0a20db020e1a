// SPDX-License-Identifier: Apache-2.0
// Host names to addresses, without ever blocking the loop.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "net/loop.h"

namespace quipu::net {

// "host:port", "192.0.2.1:51900" or "[2001:db8::1]:51900". No port: Errc::malformed.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const HostPort&) const = default;

  static Result<HostPort> parse(std::string_view text);
  std::string text() const;
};

class Resolver {
 public:
  // In the system's order of preference, at least one, none twice.
  using Handler = Callback<void(Result<std::vector<Endpoint>>)>;

  explicit Resolver(Loop& loop);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  // Pending handlers are dropped.
  ~Resolver();

  // Always answers from the loop, once: at once for a numeric address, otherwise after the system's resolver (asked in
  // a thread of its own) or Errc::timeout. Errc::not_found: no such name; Errc::unavailable: the name service does not
  // answer; Errc::busy: too many names are being looked up already.
  void resolve(const HostPort& name, Duration timeout, Handler handler);

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

}  // namespace quipu::net
