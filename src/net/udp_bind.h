// SPDX-License-Identifier: Apache-2.0
// Where the tunnel's datagrams leave and arrive. Shaped for batches: one call carries many. One UdpBind is one lane
// (one port, used by one thread); a Device with several lanes opens one for each.
#pragma once

#include <memory>
#include <span>

#include "base/ip.h"
#include "base/result.h"
#include "base/tally.h"

namespace quipu::net {

struct OutDatagram {
  Endpoint to;
  ByteView payload;
  // Not 0: the payload is several datagrams of this size laid end to end, the last may be shorter (UDP GSO).
  std::uint16_t segment_size = 0;
  // RFC 2474 and RFC 3168, as it stands in the IP header.
  std::uint8_t traffic_class = 0;
  // By IP (no DF), here or on the way: handshakes, and data where what is inside may be.
  bool may_fragment = false;

  // How many datagrams go out.
  std::size_t count() const {
    if (segment_size == 0 || payload.empty()) return 1;
    return (payload.size() + segment_size - 1) / segment_size;
  }
};

struct InDatagram {
  MutableBytes buffer;  // the caller's
  // Filled by receive():
  std::size_t size = 0;
  Endpoint from;
  // Not 0: several datagrams of one sender laid end to end (UDP GRO); only when asked for in UdpOptions.
  std::uint16_t segment_size = 0;
  // Of all of them.
  std::uint8_t traffic_class = 0;

  ByteView payload() const { return ByteView(buffer).first(size); }
};

// Datagrams that were lost here.
struct UdpStats {
  Tally send_failed;  // refused by the kernel (no route, too large, firewall); each segment is one
  Tally truncated;    // longer than the caller's buffer, dropped; a train counts as one
  Tally queue_full;   // the rest of a train that the kernel does not cut, when the socket was full
};

// What the kernel does for this socket; what it does not is done here, or left out.
struct UdpOffloads {
  bool segment = false;  // cuts trains (UDP_SEGMENT)
  bool gather = false;   // receives trains (UDP_GRO)
};

class UdpBind {
 public:
  virtual ~UdpBind() = default;

  // Never blocks. Returns how many datagrams from the front are done with: sent, or refused by the kernel and counted.
  // Fewer than given: the socket of the next one's family is full; try the rest when it is writable, or drop it.
  virtual std::size_t send(std::span<const OutDatagram> datagrams) = 0;
  // Never blocks. Fills from the front and returns how many; 0 when nothing waits.
  virtual std::size_t receive(std::span<InDatagram> datagrams) = 0;

  // To be watched with FdWatch: readable when receive() has something (one for IPv4, one for IPv6).
  virtual std::span<const int> descriptors() const = 0;
  // Which of them sends to this family; there is one where send() has left a datagram of it.
  virtual int descriptor_for(IpFamily family) const = 0;
  virtual std::uint16_t port() const = 0;
  // From any thread.
  virtual UdpStats stats() const = 0;
  virtual UdpOffloads offloads() const = 0;
};

struct UdpOptions {
  std::uint16_t port = 0;  // 0: the kernel chooses one that is free for both families
  bool ipv4 = true;
  bool ipv6 = true;  // left out silently where the kernel has no IPv6, unless IPv4 is off
  std::size_t receive_buffer = std::size_t{4} * 1024 * 1024;  // octets; SO_RCVBUFFORCE where permitted
  std::size_t send_buffer = std::size_t{4} * 1024 * 1024;
  bool coalesce_received = false;  // UDP_GRO: buffers must then hold 64 KiB
  std::uint32_t mark = 0;          // SO_MARK for policy routing; 0: none
};

// Non-blocking sockets on all local addresses.
Result<std::unique_ptr<UdpBind>> open_udp(const UdpOptions& options);

}  // namespace quipu::net
