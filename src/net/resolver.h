// SPDX-License-Identifier: Apache-2.0
// Host names to addresses, without ever blocking the loop.
#pragma once

#include <optional>
#include <string>
#include <utility>
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

// The right to ask the system's resolver, which keeps a thread for as long as it likes: so many in this process at
// once.
class LookupSlot {
 public:
  static constexpr std::size_t kMax = 16;

  // Empty when all are taken. Any thread.
  static std::optional<LookupSlot> take();

  LookupSlot(LookupSlot&& other) noexcept : m_held(std::exchange(other.m_held, false)) {}

  LookupSlot& operator=(LookupSlot&&) = delete;
  LookupSlot(const LookupSlot&) = delete;
  LookupSlot& operator=(const LookupSlot&) = delete;
  ~LookupSlot();

 private:
  LookupSlot() = default;

  bool m_held = true;
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
  // answer; Errc::busy: too many names are being looked up already, or no thread can be had.
  void resolve(const HostPort& name, Duration timeout, Handler handler);

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

}  // namespace quipu::net
