// SPDX-License-Identifier: Apache-2.0
// A TUN queue whose other end is a socket, so that two threads may hold the two ends.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/unique_fd.h"
#include "tun/tun_device.h"

namespace quipu::tun {

class SocketTun final : public TunDevice {
 public:
  SocketTun() {
    std::array<int, 2> ends{};
    QUIPU_ASSERT(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    m_near = UniqueFd(ends[0]);
    m_far = UniqueFd(ends[1]);
  }

  // What the kernel does. False: full.
  bool inject(ByteView packet) { return ::send(m_far.get(), packet.data(), packet.size(), 0) > 0; }

  // A packet that was written; empty when there is none.
  Bytes take() {
    Bytes out(kLargestRead);
    const ssize_t size = ::recv(m_far.get(), out.data(), out.size(), 0);
    out.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return out;
  }

  Result<std::size_t> read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) override {
    std::size_t count = 0;
    for (; count < buffers.size(); ++count) {
      const ssize_t size = ::recv(m_near.get(), buffers[count].data(), buffers[count].size(), 0);
      if (size <= 0) break;
      packets[count] = {static_cast<std::size_t>(size), {}};
    }
    return count;
  }

  Result<std::size_t> write(std::span<const GatheredPacket> packets) override {
    for (const GatheredPacket& packet : packets) {
      QUIPU_ASSERT(packet.parts.size() == 1);  // runs are for devices that say so in offloads()
      if (::send(m_near.get(), packet.parts[0].data(), packet.parts[0].size(), 0) < 0) ++m_counters.write_refused;
    }
    return packets.size();
  }

  Offloads offloads() const override { return {}; }

  int fd() const override { return m_near.get(); }

  const std::string& name() const override { return m_name; }

 private:
  std::string m_name = "socket0";
  UniqueFd m_near;
  UniqueFd m_far;
};

}  // namespace quipu::tun
