// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <string>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "fibre_messages.h"

namespace quipu::sim {

// The TCP connection that stands in for the quantum channel: Alice listens, Bob connects and tries again by itself. One
// connection at a time; a new one at Alice replaces the old, which may be half dead. One thread.
class Fibre {
 public:
  Fibre(Role role, const Endpoint& endpoint) : m_role(role), m_endpoint(endpoint) {}

  // What to wait for, and until when at the latest (a time to listen or connect again).
  void interest(std::vector<pollfd>& out) const;
  std::optional<TimePoint> next_attempt() const;

  enum class Change : std::uint8_t { none, connected, disconnected };

  // Does whatever can be done without waiting. After `connected` the caller sends its hello.
  Change service(TimePoint now);

  // A cut fibre has no connection and gets none.
  void set_cut(bool cut);
  // Closes the connection; the next attempt follows after a delay.
  void drop(TimePoint now, std::string reason);

  // Octets that arrived and were not consumed.
  ByteView received() const { return m_received; }

  void consume(std::size_t octets) {
    m_received.erase(m_received.begin(), m_received.begin() + static_cast<std::ptrdiff_t>(octets));
  }

  // False when the connection has broken.
  bool send(ByteView message);

  bool is_connected() const { return m_connected; }

  // Where Alice listens, with the port that she got; Bob's target.
  const Endpoint& endpoint() const { return m_endpoint; }

  bool is_listening() const { return static_cast<bool>(m_listener); }

  // Why there is no connection, for people.
  const std::string& reason() const { return m_reason; }

 private:
  void listen(TimePoint now);
  void connect(TimePoint now);
  bool accept_newest();
  bool finish_connecting(TimePoint now);
  bool receive();
  void retry_later(TimePoint now, std::string reason);

  Role m_role;
  Endpoint m_endpoint;
  UniqueFd m_listener;
  UniqueFd m_socket;
  bool m_connected = false;
  bool m_cut = false;
  Bytes m_received;
  std::string m_reason = "no connection yet";
  TimePoint m_next_attempt{};
  Duration m_delay = kFirstDelay;

  static constexpr Duration kFirstDelay = std::chrono::milliseconds(50);
};

}  // namespace quipu::sim
