// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/ip.h"
#include "base/time.h"
#include "protocol/action.h"
#include "protocol/keypair.h"
#include "protocol/messages.h"
#include "protocol/packet_queue.h"
#include "protocol/status.h"

namespace quipu::protocol {

// Whom a Route leads to, as the PacketPath that made it knows it.
struct RouteTarget {};

// Whose an inner destination is. Holds for the PacketPath that gave it, until its peers are changed.
class Route {
 public:
  explicit Route(RouteTarget* target) : m_target(target) {}

  RouteTarget* target() const { return m_target; }

 private:
  RouteTarget* m_target;
};

struct Sealed {
  PeerId peer;
  Endpoint to;
  std::size_t size = 0;       // octets of the output that are the datagram
  bool may_fragment = false;  // no DF bit: it is larger than the path carries in one piece
};

struct Opened {
  PeerId peer;
  // Inside the datagram's own buffer. Empty when it was a keepalive or a control frame.
  MutableBytes packet;
  bool checksum_partial = false;  // FrameHeader
  std::size_t limit = 0;          // octets: PacketPath::packet_limit() of the way back
};

// seal() adds at most this much to a packet.
inline constexpr std::size_t kMaxOverhead = kDataOverhead;

// Where in seal()'s output a packet may already stand.
inline constexpr std::size_t kPacketOffset = kDataHeaderSize + kFrameHeaderSize;

// Between the packets of one TUN queue and the datagrams of one UDP port: the Device on its first lane, a SideLane on
// each other. One thread at a time.
class PacketPath {
 public:
  virtual ~PacketPath() = default;

  // Whether a datagram is for open(), and not for receive().
  static bool is_data(ByteView datagram) { return message_type(datagram) == MessageType::data; }

  // Where an IP packet goes, by its destination. Errors: not_found (no peer has it), malformed (not an IP packet, or
  // its header tells another length), unavailable (a SideLane's: not by this lane now).
  virtual Outcome<Route> route(ByteView packet, TimePoint now) = 0;
  // Octets of the largest packet that gets through the path there, as far as is known.
  virtual std::size_t packet_limit(const Route& route) const = 0;
  // `out`: at least kMaxOverhead octets more than the packet. The packet may stand where it goes, kPacketOffset octets
  // into `out`, and is then not copied; otherwise it does not overlap. Errors: unavailable (no session: the packet was
  // copied and waits; when too many wait, the oldest is dropped), policy (blocked: dropped), too_large (above
  // packet_limit(), and not to be fragmented: `out` is as it was), expired, limit_reached. All are counted.
  virtual Outcome<Sealed> seal(const Route& route, const InnerPacket& packet, MutableBytes out, TimePoint now) = 0;
  // Opens in place. The newest packet of a peer moves its endpoint to `from`, except into a prefix that some peer owns.
  // Errors: not_found (unknown index), authentication, already_used (replay), expired, not_permitted
  // (inner source outside AllowedIps), malformed. All are counted.
  virtual Outcome<Opened> open(MutableBytes datagram, const Endpoint& from, TimePoint now) = 0;
  // A packet that open() gave out was dropped after all: it counts as that, and not as received.
  virtual void discard(const Opened& opened, DropReason reason) = 0;
  // Handshake messages and anything else that is not data.
  virtual void receive(MutableBytes datagram, const Endpoint& from, TimePoint now, Actions& out) = 0;
};

}  // namespace quipu::protocol
