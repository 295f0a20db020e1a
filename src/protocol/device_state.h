// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "protocol/allowed_ips.h"
#include "protocol/cookie.h"
#include "protocol/device.h"
#include "protocol/peer_set.h"
#include "protocol/sender_limits.h"

namespace quipu::protocol {

struct Device::State {
  State(Shared common, std::size_t wanted_mtu)
      : shared(std::move(common)), mtu(wanted_mtu), cookies(shared.own.public_key) {}

  // Null when there is none. It is taken for changed by whoever looks for it.
  PeerMachine* peer(PeerId id) {
    PeerEntry* const entry = peers.find(id);
    if (entry == nullptr) return nullptr;
    peers.touch(*entry);
    return &entry->machine;
  }

  PeerMachine* peer_with_key(const crypto::X25519PublicKey& key) {
    const auto found = ids_by_key.find(key);
    return found == ids_by_key.end() ? nullptr : peer(found->second);
  }

  PeerMachine* peer_with_index(SessionIndex index) {
    const auto owner = shared.indices.find(index);
    return owner ? peer(*owner) : nullptr;
  }

  // Nothing for an id that was answered before. The peer that asked may have gone.
  std::optional<KeyRequest> take_request(KeyRequestId id) {
    auto request = shared.requests.extract(id);
    if (request.empty()) return std::nullopt;
    return std::move(request.mapped());
  }

  Context context(TimePoint at, Actions& out) {
    now = std::max(now, at);
    return Context{shared, at, out};
  }

  PeerMachine* peer_at(const Endpoint& endpoint) {
    const auto found =
        std::ranges::find_if(peers, [&](const auto& entry) { return entry.second.machine.endpoint() == endpoint; });
    return found == peers.end() ? nullptr : peer(found->first);
  }

  void routes_changed() { routes_untold = shared.lanes > 1; }

  bool may_open(ByteView message, const Endpoint& from, const Context& context);
  void receive_initiation(ByteView message, const Endpoint& from, const Context& context);

  Shared shared;
  std::size_t mtu;  // as in DeviceConfig
  PeerSet peers;
  std::map<crypto::X25519PublicKey, PeerId> ids_by_key;
  AllowedIps allowed;
  bool routes_untold = false;  // the other lanes know older ones
  CookieChecker cookies;
  LoadMeter load{kLoadThreshold};
  SenderLimits strangers;
  DeviceStatistics statistics;
  TimePoint now{};  // of the last event
};

}  // namespace quipu::protocol
