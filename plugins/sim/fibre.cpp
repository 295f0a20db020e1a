// SPDX-License-Identifier: Apache-2.0
#include "fibre.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace quipu::sim {
namespace {

constexpr Duration kLongestDelay = std::chrono::seconds(1);
constexpr std::size_t kMostUnread = 4096;
// A cut that nobody reports is noticed after about five seconds.
constexpr int kIdleSeconds = 2;
constexpr int kProbeSeconds = 1;
constexpr int kProbes = 3;
constexpr int kUnansweredMs = 5000;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress to_system(const Endpoint& endpoint) {
  SocketAddress out;
  const ByteView octets = endpoint.address.view();
  if (endpoint.address.family == IpFamily::v4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::memcpy(&v4->sin_addr, octets.data(), octets.size());
    out.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    v6->sin6_scope_id = endpoint.scope;
    std::memcpy(&v6->sin6_addr, octets.data(), octets.size());
    out.size = sizeof *v6;
  }
  return out;
}

std::uint16_t port_of(int listener) {
  SocketAddress local;
  local.size = sizeof local.storage;
  if (::getsockname(listener, local.get(), &local.size) != 0) return 0;
  return ntohs(local.storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&local.storage)->sin_port
                                                  : reinterpret_cast<sockaddr_in6*>(&local.storage)->sin6_port);
}

UniqueFd tcp_socket(const Endpoint& endpoint) {
  const int family = endpoint.address.family == IpFamily::v4 ? AF_INET : AF_INET6;
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void set_option(int socket, int level, int option, int value) {
  ::setsockopt(socket, level, option, &value, sizeof value);  // what it improves works without, too
}

void watch_for_cuts(int socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, kIdleSeconds);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, kProbeSeconds);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnansweredMs);
}

}  // namespace

void Fibre::interest(std::vector<pollfd>& out) const {
  if (m_listener) out.push_back({m_listener.get(), POLLIN, 0});
  const bool has_room = m_received.size() < kMostUnread;
  if (m_socket) out.push_back({m_socket.get(), static_cast<short>(m_connected ? (has_room ? POLLIN : 0) : POLLOUT), 0});
}

std::optional<TimePoint> Fibre::next_attempt() const {
  const bool waiting = m_role == Role::alice ? !m_listener : !m_socket && !m_cut;
  if (!waiting) return std::nullopt;
  return m_next_attempt;
}

Fibre::Change Fibre::service(TimePoint now) {
  const bool due = next_attempt() && now >= m_next_attempt;
  if (due && m_role == Role::alice) listen(now);
  if (due && m_role == Role::bob) connect(now);
  // A disconnection is not told apart when a connection takes its place: the caller begins afresh either way.
  if (m_role == Role::alice && m_listener && accept_newest()) return Change::connected;
  if (m_role == Role::bob && m_socket && !m_connected) return finish_connecting(now) ? Change::connected : Change::none;
  if (!m_connected || receive()) return Change::none;
  drop(now, "the other end closed the fibre");
  return Change::disconnected;
}

void Fibre::set_cut(bool cut) {
  m_cut = cut;
}

void Fibre::drop(TimePoint now, std::string reason) {
  m_connected = false;
  m_received.clear();
  retry_later(now, std::move(reason));
}

bool Fibre::send(ByteView message) {
  // Messages are small and answered one by one, so a full send buffer means that nobody reads.
  return m_connected &&
         ::send(m_socket.get(), message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size());
}

void Fibre::listen(TimePoint now) {
  UniqueFd listener = tcp_socket(m_endpoint);
  SocketAddress address = to_system(m_endpoint);
  if (listener) set_option(listener.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (!listener || ::bind(listener.get(), address.get(), address.size) != 0 || ::listen(listener.get(), 4) != 0)
    return retry_later(now, system_error("listening at " + m_endpoint.text()).text);
  m_endpoint.port = port_of(listener.get());
  m_listener = std::move(listener);
  m_reason = "waiting for the other end";
}

void Fibre::connect(TimePoint now) {
  m_socket = tcp_socket(m_endpoint);
  if (!m_socket) return retry_later(now, system_error("a socket for the fibre").text);
  watch_for_cuts(m_socket.get());
  SocketAddress address = to_system(m_endpoint);
  if (::connect(m_socket.get(), address.get(), address.size) != 0 && errno != EINPROGRESS)
    retry_later(now, system_error("connecting to " + m_endpoint.text()).text);
}

bool Fibre::finish_connecting(TimePoint now) {
  pollfd writable{m_socket.get(), POLLOUT, 0};
  if (::poll(&writable, 1, 0) <= 0) return false;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(m_socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    retry_later(now, system_error("connecting to " + m_endpoint.text(), error).text);
    return false;
  }
  m_connected = true;
  return true;
}

// Of several that wait, the last is the one that lives.
bool Fibre::accept_newest() {
  bool accepted = false;
  for (;;) {
    UniqueFd socket(::accept4(m_listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return accepted;
    if (m_cut) continue;
    watch_for_cuts(socket.get());
    m_socket = std::move(socket);
    m_received.clear();
    m_connected = accepted = true;
  }
}

// False at the end of the stream.
bool Fibre::receive() {
  QUIPU_ASSERT(m_socket);
  while (m_received.size() < kMostUnread) {
    std::array<std::uint8_t, 1024> chunk{};
    const ssize_t size = ::recv(m_socket.get(), chunk.data(), chunk.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return true;
    if (size <= 0) return false;
    m_delay = kFirstDelay;
    m_received.insert(m_received.end(), chunk.begin(), chunk.begin() + size);
  }
  return true;
}

void Fibre::retry_later(TimePoint now, std::string reason) {
  m_socket.reset();
  m_reason = std::move(reason);
  m_next_attempt = now + m_delay;
  m_delay = std::min(m_delay * 2, kLongestDelay);
}

}  // namespace quipu::sim
