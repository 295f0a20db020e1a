// SPDX-License-Identifier: Apache-2.0
// The whole protocol of one interface behind one object: identity, peers, sessions. It holds no socket, clock or
// thread: events and `now` go in, actions come out. One thread at a time. `now` never goes back.
//
// The program around it, once per turn of its event loop:
//   for each datagram:    is_data(d) ? device.open(d, from, now) -> write Opened::packet to the TUN
//                                    : device.receive(d, from, now, actions)
//   for each TUN packet:  device.route(packet, now) -> seal(route, packet, buffer, now), or of each of its segments
//                         -> send Sealed
//   for each KMS answer:  device.key_fetched / key_failed
//   at the end of a turn: device.advance(now, actions); perform actions; sleep until device.next_deadline()
// seal and open emit no action: what they set off is carried out by the advance() that follows. They allocate nothing
// but the copy of a packet that has to wait, and what a control frame names.
#pragma once

#include <memory>

#include "protocol/action.h"
#include "protocol/messages.h"
#include "protocol/packet_path.h"
#include "protocol/side_lane.h"
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
  std::uint8_t lanes = 1;  // 1 to kMaxLanes; those after the first are SideLanes
};

class Device final : public PacketPath {
 public:
  // `rng` outlives the Device. Errc::bad_key when the private key yields no usable public key.
  static Result<Device> create(DeviceConfig config, crypto::Rng& rng);
  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  ~Device() override;

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
  // PacketPath, of the first lane. A packet without a route is counted.
  Outcome<Route> route(ByteView packet, TimePoint now) override;
  std::size_t packet_limit(const Route& route) const override;
  Outcome<Sealed> seal(const Route& route, const InnerPacket& packet, MutableBytes out, TimePoint now) override;
  Outcome<Opened> open(MutableBytes datagram, const Endpoint& from, TimePoint now) override;
  void discard(const Opened& opened, DropReason reason) override;
  void receive(MutableBytes datagram, const Endpoint& from, TimePoint now, Actions& out) override;

  // A SideLane says so.
  void lane_was_used(const SideLane::Used& used, TimePoint now);

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
