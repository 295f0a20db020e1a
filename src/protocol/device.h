// SPDX-License-Identifier: Apache-2.0
// The whole protocol of one interface behind one object: identity, peers, sessions. It holds no socket, clock or
// thread: events and `now` go in, actions come out. One thread at a time. `now` never goes back.
//
// The program around it, once per turn of its event loop:
//   for each datagram:    is_data(d) ? device.open(d, from, now) -> write Opened::packet to the TUN
//                                    : device.receive(d, from, now, actions)
//   for each TUN packet:  device.route(packet) -> seal(route, packet, buffer, now), or of each of its segments
//                         -> send Sealed
//   for each KMS answer:  device.key_fetched / key_failed
//   at the end of a turn: device.advance(now, actions); perform actions; sleep until device.next_deadline()
// seal and open emit no action: what they set off is carried out by the advance() that follows. They allocate nothing
// but the copy of a packet that has to wait, and what a control frame names.
#pragma once

#include <memory>

#include "protocol/action.h"
#include "protocol/keypair.h"
#include "protocol/messages.h"
#include "protocol/packet_queue.h"
#include "protocol/status.h"
#include "protocol/timing.h"

namespace quipu::protocol {

struct PeerConfig {
  PeerId id;
  std::string name;
  crypto::X25519PublicKey public_key;
  PreSharedKey psk;
  std::optional<Endpoint> endpoint;
  std::string endpoint_name;  // "host:port" when configured by name; resolved by the program
  std::vector<IpPrefix> allowed_ips;
  Policy policy;
  Duration rekey_interval = kDefaultRekeyInterval;
  Duration max_key_age{};  // zero: 3 N
  TunnelId tunnel;
  bool always_on = false;           // rekeys even when nothing was carried, and connects at once
  Duration persistent_keepalive{};  // zero: none
};

// Whether a Device would take this peer for itself: intervals and policy. Errc::out_of_range; the text says what to
// change.
Result<void> check_peer(const PeerConfig& config);

struct DeviceConfig {
  crypto::X25519PrivateKey private_key;
  // `end` of the last ReserveStamps that became durable; 0 at the very first start.
  Stamp stamps_end;
  KeyLimits key_limits{};
  std::size_t mtu = 1400;  // octets of the largest packet that tunnels are to carry; narrower paths lower it
};

class PeerEntry;

// Whose an inner destination is. Holds until the peers are changed.
class Route {
 private:
  friend class Device;

  explicit Route(PeerEntry* peer) : m_peer(peer) {}

  PeerEntry* m_peer;
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
  std::size_t limit = 0;          // octets: Device::packet_limit() of the way back
};

// seal() adds at most this much to a packet.
inline constexpr std::size_t kMaxOverhead = kDataOverhead;

// Where in seal()'s output a packet may already stand.
inline constexpr std::size_t kPacketOffset = kDataHeaderSize + kFrameHeaderSize;

class Device {
 public:
  // `rng` outlives the Device. Errc::bad_key when the private key yields no usable public key.
  static Result<Device> create(DeviceConfig config, crypto::Rng& rng);
  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  ~Device();

  const crypto::X25519PublicKey& public_key() const;

  // --- configuration ---
  // Errc::duplicate: id, public key or an AllowedIps prefix that another peer has. Errc::refused: our own public key.
  // Errc::out_of_range: intervals or policy; the text says what to change.
  Result<void> add_peer(PeerConfig config, TimePoint now);
  // Burns its keys and forgets it. Errc::not_found.
  Result<void> remove_peer(PeerId id, TimePoint now, Actions& out);
  // A changed policy, psk, public key or tunnel ends the session; anything else leaves it in place.
  Result<void> update_peer(PeerConfig config, TimePoint now, Actions& out);
  // Networks of this site's own, in place of those before: where the longest prefix that holds an address is one of
  // them, it is no peer's. Nothing is sealed for it or accepted from it, and a peer may be followed to it.
  void set_local_networks(std::span<const IpPrefix> networks);
  // The end of all such changes: only what is protected after the last one counts. A peer that was followed to where
  // some peer's prefix lies by now goes back to its configured endpoint.
  void leave_protected_endpoints();

  // --- packets ---
  static bool is_data(ByteView datagram);
  // Where an IP packet goes, by its destination. Errors: not_found (no peer has it; counted), malformed (not an IP
  // packet, or its header tells another length).
  Outcome<Route> route(ByteView packet);
  // Octets of the largest packet that gets through the path there, as far as is known.
  std::size_t packet_limit(const Route& route) const;
  // `out`: at least kMaxOverhead octets more than the packet. The packet may stand where it goes, kPacketOffset octets
  // into `out`, and is then not copied; otherwise it does not overlap. Errors: unavailable (no session: the packet was
  // copied and waits; when too many wait, the oldest is dropped), policy (blocked: dropped), too_large (above
  // packet_limit(), and not to be fragmented: `out` is as it was), limit_reached. All are counted.
  Outcome<Sealed> seal(const Route& route, const InnerPacket& packet, MutableBytes out, TimePoint now);
  // Opens in place. The newest packet of a peer moves its endpoint to `from`, except into a prefix that some peer owns.
  // Errors: not_found (unknown index), authentication, already_used (replay), expired, not_permitted
  // (inner source outside AllowedIps), malformed. All are counted.
  Outcome<Opened> open(MutableBytes datagram, const Endpoint& from, TimePoint now);
  // A packet that open() gave out was dropped after all: it counts as that, and not as received.
  void discard(const Opened& opened, DropReason reason);
  // Handshake messages and anything else that is not data.
  void receive(MutableBytes datagram, const Endpoint& from, TimePoint now, Actions& out);

  // --- answers ---
  void key_fetched(KeyRequestId id, KeyId key_id, Secret<32> key, TimePoint now, Actions& out);
  void key_failed(KeyRequestId id, KeyFailure failure, TimePoint now, Actions& out);
  void stamps_reserved(Stamp end, TimePoint now, Actions& out);
  void endpoint_resolved(PeerId peer, const Endpoint& endpoint, TimePoint now, Actions& out);

  // --- the operator's word ---
  // Errc::not_found; Errc::unavailable while it may not start one (said why).
  Result<void> rekey_now(PeerId peer, TimePoint now, Actions& out);
  // Accepts one jump of the peer's or our stamp beyond 2^40.
  Result<void> permit_stamp_jump(PeerId peer);
  // What the KMS reports: keys left for a source, shown and told to the peer as runway. Nothing when that is no longer
  // known.
  void key_stock(PeerId peer, std::uint8_t slot, std::optional<std::uint32_t> keys);
  // Erases every session and key at once: boot id or VM generation changed.
  void erase_sessions(TimePoint now, Actions& out);

  // --- time ---
  void advance(TimePoint now, Actions& out);
  // When to call advance() at the latest; in the past when there is work now.
  std::optional<TimePoint> next_deadline() const;

  // --- for people ---
  std::vector<PeerStatus> status(TimePoint now) const;
  const DeviceStatistics& statistics() const;

 private:
  struct State;
  explicit Device(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace quipu::protocol
