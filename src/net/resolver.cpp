// SPDX-License-Identifier: Apache-2.0
#include "net/resolver.h"

#include <netdb.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "net/sockaddr.h"

namespace quipu::net {
namespace {

std::atomic<std::size_t> lookups_under_way = 0;

using Addresses = Result<std::vector<Endpoint>>;

Error lookup_error(const std::string& host, int code) {
  const std::string text = host + ": " + ::gai_strerror(code);
  const bool no_name = code == EAI_NONAME || code == EAI_NODATA;
  return {no_name ? Errc::not_found : Errc::unavailable, text};
}

// Blocks for as long as the system's resolver likes.
Addresses look_up(const HostPort& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // one entry for each address
  addrinfo* list = nullptr;
  if (const int code = ::getaddrinfo(name.host.c_str(), nullptr, &hints, &list); code != 0)
    return std::unexpected(lookup_error(name.host, code));
  std::vector<Endpoint> out;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    auto endpoint = from_sockaddr(entry->ai_addr, entry->ai_addrlen);
    if (!endpoint) continue;
    endpoint->port = name.port;
    if (std::ranges::find(out, *endpoint) == out.end()) out.push_back(*endpoint);
  }
  ::freeaddrinfo(list);
  if (out.empty()) return fail(Errc::not_found, name.host + ": no address");
  return out;
}

// What a thread that outlives the resolver may still touch.
struct Way {
  std::mutex mutex;
  Loop* loop = nullptr;  // null once the resolver has gone
};

}  // namespace

struct Resolver::Core : std::enable_shared_from_this<Resolver::Core> {
  struct Lookup {
    Handler handler;
    std::unique_ptr<Timer> timer;
  };

  void answer(std::uint64_t id, Addresses addresses) {
    const auto found = lookups.find(id);
    if (found == lookups.end()) return;
    const auto keep = shared_from_this();
    Lookup lookup = std::move(found->second);
    lookups.erase(found);
    lookup.handler(std::move(addresses));
  }

  void answer_later(std::uint64_t id, Addresses addresses) {
    way->loop->post([self = weak_from_this(), id, addresses = std::move(addresses)]() mutable {
      if (const auto core = self.lock()) core->answer(id, std::move(addresses));
    });
  }

  // False when no thread can be had.
  bool start_thread(std::uint64_t id, const HostPort& name, LookupSlot slot) {
    auto work = [self = weak_from_this(), to = way, held = std::optional(std::move(slot)), id, name]() mutable {
      Addresses addresses = look_up(name);
      held.reset();
      const std::scoped_lock lock(to->mutex);
      if (to->loop == nullptr) return;
      to->loop->post([self, id, addresses = std::move(addresses)]() mutable {
        if (const auto core = self.lock()) core->answer(id, std::move(addresses));
      });
    };
    try {
      // Detached: getaddrinfo() cannot be interrupted, and nobody should wait for it. The thread holds nothing but
      // `way`.
      std::thread(std::move(work)).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  std::shared_ptr<Way> way = std::make_shared<Way>();
  std::map<std::uint64_t, Lookup> lookups;
  std::uint64_t last_id = 0;
};

Result<HostPort> HostPort::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return fail(Errc::malformed, "not HOST:PORT");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
    return fail(Errc::malformed, "not a port from 1 to 65535 after the last colon");
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool has_colon = host.find(':') != std::string_view::npos;
  if (bracketed != has_colon || (bracketed && !IpAddress::parse(host)))
    return fail(Errc::malformed, "not HOST:PORT; an IPv6 address needs brackets");
  const auto is_host_octet = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == ':';
  };
  if (host.size() > 253 || !std::ranges::all_of(host, is_host_octet)) return fail(Errc::malformed, "not a host name");
  return HostPort{std::string(host), port};
}

std::string HostPort::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<LookupSlot> LookupSlot::take() {
  if (lookups_under_way.fetch_add(1) < kMax) return LookupSlot();
  lookups_under_way.fetch_sub(1);
  return std::nullopt;
}

LookupSlot::~LookupSlot() {
  if (m_held) lookups_under_way.fetch_sub(1);
}

Resolver::Resolver(Loop& loop) : m_core(std::make_shared<Core>()) {
  m_core->way->loop = &loop;
}

Resolver::~Resolver() {
  const std::scoped_lock lock(m_core->way->mutex);
  m_core->way->loop = nullptr;
  m_core->lookups.clear();
}

void Resolver::resolve(const HostPort& name, Duration timeout, Handler handler) {
  const std::uint64_t id = ++m_core->last_id;
  Core::Lookup& lookup = m_core->lookups[id];
  lookup.handler = std::move(handler);
  if (const auto address = IpAddress::parse(name.host))
    return m_core->answer_later(id, std::vector{Endpoint{*address, name.port, 0}});
  auto slot = LookupSlot::take();
  if (!slot) return m_core->answer_later(id, fail(Errc::busy, name.host + ": too many lookups under way"));
  lookup.timer = std::make_unique<Timer>(*m_core->way->loop, [core = m_core.get(), id, host = name.host] {
    core->answer(id, fail(Errc::timeout, host + ": the name service does not answer"));
  });
  lookup.timer->set(Loop::now() + timeout);
  if (!m_core->start_thread(id, name, std::move(*slot)))
    m_core->answer_later(id, fail(Errc::busy, name.host + ": no thread to look it up"));
}

}  // namespace quipu::net
