// SPDX-License-Identifier: Apache-2.0
// Peers come, change and go.
#include "protocol/device_state.h"

namespace quipu::protocol {
namespace {

Result<void> check_intervals(const PeerConfig& config) {
  if (config.rekey_interval < kMinRekeyInterval || config.rekey_interval > kMaxRekeyInterval)
    return fail(Errc::out_of_range, "rekey_interval_s must be between 1 and 3600");
  if (config.max_key_age != Duration::zero() && config.max_key_age <= config.rekey_interval)
    return fail(Errc::out_of_range, "max_key_age_s must be above rekey_interval_s");
  if (config.max_key_age > kMaxKeyAgeInIntervals * kMaxRekeyInterval)
    return fail(Errc::out_of_range, "max_key_age_s must not be above 10800");
  if (config.persistent_keepalive < Duration::zero()) return fail(Errc::out_of_range, "persistent_keepalive_s < 0");
  return {};
}

// All prefixes or none.
Result<void> claim(AllowedIps& allowed, const PeerConfig& config, const std::vector<IpPrefix>& before) {
  allowed.remove(config.id);
  for (const IpPrefix& prefix : config.allowed_ips) {
    if (allowed.insert(prefix, config.id)) continue;
    allowed.remove(config.id);
    for (const IpPrefix& old : before)
      QUIPU_ASSERT(allowed.insert(old, config.id).has_value());
    return fail(Errc::duplicate, "allowed_ips: " + prefix.masked().text() + " belongs to another peer");
  }
  return {};
}

bool same_session(const PeerConfig& a, const PeerConfig& b) {
  return a.public_key == b.public_key && a.psk == b.psk && a.policy == b.policy && a.tunnel == b.tunnel;
}

}  // namespace

Result<void> check_peer(const PeerConfig& config) {
  QUIPU_TRY(check_intervals(config));
  return config.policy.check();
}

Result<void> Device::add_peer(PeerConfig config, TimePoint now) {
  State& state = *m_state;
  state.now = std::max(state.now, now);
  const std::string where = config.name;
  if (config.public_key == state.shared.own.public_key)
    return fail(Errc::refused, where + ": the peer's public key is this device's own");
  if (state.peer(config.id) != nullptr) return fail(Errc::duplicate, where + ": the peer exists already");
  if (state.peer_with_key(config.public_key) != nullptr)
    return fail(Errc::duplicate, where + ": another peer has the same public key");
  if (auto checked = check_peer(config); !checked) return fail_at(where, checked.error());
  if (auto claimed = claim(state.allowed, config, {}); !claimed) return fail_at(where, claimed.error());
  state.routes_changed();
  state.ids_by_key.emplace(config.public_key, config.id);
  state.peers.add(std::move(config), state.shared.own.public_key, {.mtu = state.mtu, .lanes = state.shared.lanes});
  return {};
}

Result<void> Device::remove_peer(PeerId id, TimePoint now, Actions& out) {
  State& state = *m_state;
  PeerMachine* peer = state.peer(id);
  if (peer == nullptr) return fail(Errc::not_found, "no such peer");
  peer->reset(state.context(now, out));
  state.ids_by_key.erase(peer->config().public_key);
  state.allowed.remove(id);
  state.routes_changed();
  state.peers.remove(id);
  if (state.shared.lanes > 1) out.emplace_back(UpdateLanes{PeerGone{id}});
  return {};
}

Result<void> Device::update_peer(PeerConfig config, TimePoint now, Actions& out) {
  State& state = *m_state;
  PeerMachine* peer = state.peer(config.id);
  if (peer == nullptr) return fail(Errc::not_found, config.name + ": no such peer");
  if (auto checked = check_peer(config); !checked) return fail_at(config.name, checked.error());
  const PeerMachine* holder = state.peer_with_key(config.public_key);
  if (holder != nullptr && holder != peer)
    return fail(Errc::duplicate, config.name + ": another peer has the same public key");
  if (auto claimed = claim(state.allowed, config, peer->config().allowed_ips); !claimed)
    return fail_at(config.name, claimed.error());
  state.routes_changed();
  if (same_session(config, peer->config())) {
    peer->reconfigure(std::move(config));
    return {};
  }
  QUIPU_TRY(remove_peer(config.id, now, out));
  return add_peer(std::move(config), now);
}

void Device::set_local_networks(std::span<const IpPrefix> networks) {
  m_state->allowed.set_local(networks);
  m_state->routes_changed();
}

void Device::leave_protected_endpoints() {
  m_state->peers.touch_all();
  for (auto& [id, entry] : m_state->peers)
    entry.machine.leave_protected_endpoint(m_state->allowed);
}

}  // namespace quipu::protocol
