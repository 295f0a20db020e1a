// SPDX-License-Identifier: Apache-2.0
// UdpBind without a network: several of them joined by a FakeUdpNetwork that delivers at once, or as its owner decides.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "base/unique_fd.h"
#include "net/udp_bind.h"

namespace quipu::net {

class FakeUdpBind;

class FakeUdpNetwork {
 public:
  struct Packet {
    Endpoint from;
    Endpoint to;
    Bytes payload;
    std::uint8_t traffic_class = 0;
    bool may_fragment = false;
  };

  // Decides about each datagram: deliver now (true), or not (false: lost, or kept by the owner for deliver() later).
  std::function<bool(const Packet&)> on_send;

  // Puts a datagram into the queue of whoever has the address; false when nobody has it.
  bool deliver(const Packet& packet);

 private:
  friend class FakeUdpBind;
  std::map<Endpoint, FakeUdpBind*> m_binds;
};

// `local` is what the others see as `from`; it may change while in use (roaming).
class FakeUdpBind final : public UdpBind {
 public:
  FakeUdpBind(FakeUdpNetwork& network, const Endpoint& local);
  FakeUdpBind(const FakeUdpBind&) = delete;
  FakeUdpBind& operator=(const FakeUdpBind&) = delete;
  ~FakeUdpBind() override;

  void move_to(const Endpoint& local);

  // How many more datagrams send() takes before it says "full"; unlimited when not set.
  void limit_sends(std::optional<std::size_t> count);

  // From now on receive() gives out as trains what waits from one sender in datagrams of one size (UDP GRO).
  void gather() { m_gathers = true; }

  // The next so many that are handed to send() are refused, with all their segments.
  void refuse(std::size_t datagrams) { m_refusals = datagrams; }

  std::size_t send(std::span<const OutDatagram> datagrams) override;
  std::size_t receive(std::span<InDatagram> datagrams) override;

  // One end of a pair of stream sockets: readable while something waits, writable unless send() says "full".
  std::span<const int> descriptors() const override { return {&m_near_fd, 1}; }

  int descriptor_for(IpFamily) const override { return m_near_fd; }

  std::uint16_t port() const override { return m_local.port; }

  UdpStats stats() const override { return m_stats; }

  UdpOffloads offloads() const override { return {.segment = true, .gather = m_gathers}; }

 private:
  friend class FakeUdpNetwork;
  void arrive(const FakeUdpNetwork::Packet& packet);
  void add_train(InDatagram& in, const FakeUdpNetwork::Packet& first);

  FakeUdpNetwork& m_network;
  Endpoint m_local;
  std::deque<FakeUdpNetwork::Packet> m_queue;
  std::optional<std::size_t> m_send_room;
  std::size_t m_refusals = 0;
  bool m_gathers = false;
  UdpStats m_stats;
  UniqueFd m_near;
  UniqueFd m_far;
  int m_near_fd = -1;
};

}  // namespace quipu::net
