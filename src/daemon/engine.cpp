// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine.h"

#include <algorithm>

#include "base/encoding.h"
#include "daemon/status_report.h"

namespace quipu::daemon {
namespace {

DataPlane::Options options_of(const config::DeviceConfig& device) {
  return {.mtu = device.mtu, .copy_dscp = device.copy_dscp};
}

void add_lane(const DataPlane::Drops& drops, const tun::TunDevice& tun, const net::UdpBind& udp,
              control::DeviceStatus& out) {
  const net::UdpStats stats = udp.stats();
  out.queue_drops["udp_send"] += drops.send_queue + stats.queue_full;
  out.errors["udp_refused"] += stats.send_failed;
  out.errors["udp_too_long"] += stats.truncated;
  out.errors["tun_packet"] += drops.malformed;
  out.errors["tun_read"] += tun.counters().read_cut;
  out.errors["tun_write"] += tun.counters().write_refused;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(Outside outside, Settings settings, FailureHandler on_failure) {
  protocol::DeviceConfig config{.private_key = settings.private_key.clone(),
                                .stamps_end = protocol::Stamp(outside.stamps.end()),
                                .mtu = settings.config.device.mtu,
                                .lanes = static_cast<std::uint8_t>(1 + outside.lanes.size())};
  QUIPU_TRY_ASSIGN(auto device, protocol::Device::create(std::move(config), outside.rng));
  std::unique_ptr<Engine> engine(new Engine(std::move(outside), std::move(device), settings, std::move(on_failure)));
  QUIPU_TRY(engine->reconfigure(std::move(settings)));
  return engine;
}

Engine::Engine(Outside outside, protocol::Device device, const Settings& settings, FailureHandler on_failure)
    : m_outside(std::move(outside)),
      m_device(std::move(device)),
      m_plane(m_device, m_outside.tun, m_outside.udp, options_of(settings.config.device)),
      m_pump(m_outside.loop, m_outside.tun, m_outside.udp, m_plane, m_actions,
             [this](Result<void> carried) { guard(std::move(carried)); }),
      m_plan(settings.plan),
      m_on_failure(std::move(on_failure)),
      m_keys(m_outside.loop, m_outside.log,
             {.on_answer = [this](const protocol::RequestKey& request,
                                  Result<FetchedKey> result) { on_key(request, std::move(result)); },
              .on_stock =
                  [this](protocol::PeerId peer, std::uint8_t slot, std::optional<std::uint64_t> keys) {
                    const std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
                    m_device.key_stock(peer, slot, keys.transform([most](std::uint64_t known) {
                      return static_cast<std::uint32_t>(std::min(known, most));
                    }));
                  }}),
      m_names(m_outside.loop, m_outside.log,
              {.on_resolved =
                   [this](protocol::PeerId peer, const Endpoint& endpoint) {
                     m_device.endpoint_resolved(peer, endpoint, net::Loop::now(), m_actions);
                     turn();
                   },
               .permitted = [this](const IpAddress& address) { return netlink::check_endpoint(m_plan, address); }}),
      m_alarm(m_outside.loop,
              [this] {
                m_alarm_at.reset();
                turn();
              }),
      m_stamps_retry(m_outside.loop, [this] {
        store_stamps();
        turn();
      }) {
  for (const LaneWorker::Outside& lane : m_outside.lanes) {
    const auto number = static_cast<std::uint8_t>(m_lanes.size() + 1);
    m_lanes.push_back(std::make_unique<LaneWorker>(protocol::Lane(number), lane, options_of(settings.config.device),
                                                   lane_handlers()));
  }
}

// Lanes call into the engine until they have stopped.
Engine::~Engine() {
  stop_lanes();
}

void Engine::start() {
  for (const auto& lane : m_lanes)
    lane->start();
  m_pump.start();
  turn();
}

void Engine::stop_lanes() {
  for (const auto& lane : m_lanes)
    lane->stop();
}

void Engine::stop() {
  stop_lanes();
  m_pump.stop();
  m_alarm.cancel();
  m_stamps_retry.cancel();
  m_stopped = true;
  // Actions are dropped: nothing is sent any more.
  m_device.erase_sessions(net::Loop::now(), m_actions);
  m_actions.clear();
}

void Engine::erase_sessions() {
  m_device.erase_sessions(net::Loop::now(), m_actions);
  turn();
}

Result<void> Engine::rekey(const std::optional<std::string>& peer, RekeyWatch::Handler handler) {
  const TimePoint now = net::Loop::now();
  std::vector<protocol::PeerStatus> wanted = m_device.status(now);
  if (peer) std::erase_if(wanted, [&](const protocol::PeerStatus& status) { return status.name != *peer; });
  if (wanted.empty()) return std::unexpected(peer ? no_peer(*peer) : Error{Errc::not_found, "no peer is configured"});
  std::vector<control::UnrekeyedPeer> failed;
  std::optional<Error> first_error;
  std::erase_if(wanted, [&](const protocol::PeerStatus& status) {
    const auto started = m_device.rekey_now(status.id, now, m_actions);
    // A handshake that is under way is as good as a new one: it is waited for.
    if (started || started.error().code == Errc::busy) return false;
    failed.push_back({status.name, started.error().text});
    if (!first_error) first_error = started.error();
    return true;
  });
  if (wanted.empty()) return std::unexpected(*first_error);
  m_rekeys.add(wanted, std::move(failed), now, std::move(handler));
  m_alarm_at = now;
  m_alarm.set(now);
  return {};
}

Error Engine::no_peer(const std::string& name) const {
  std::string names;
  for (const TablePeer& peer : m_peers.peers())
    names += (names.empty() ? "" : ", ") + peer.settings.config.name;
  return {Errc::not_found,
          "there is no peer '" + name + "'; " + (names.empty() ? "none is configured" : "configured: " + names)};
}

Result<void> Engine::permit_stamp_jump(const std::string& peer) {
  const TablePeer* found = m_peers.find(peer);
  if (found == nullptr) return std::unexpected(no_peer(peer));
  return m_device.permit_stamp_jump(found->id);
}

control::DeviceStatus Engine::status() const {
  control::DeviceStatus out;
  out.public_key = to_base64(m_device.public_key().value());
  out.listen_port = m_outside.udp.port();
  out.lanes = 1 + m_lanes.size();
  out.mtu = m_plane.mtu();
  for (const protocol::PeerStatus& status : m_device.status(net::Loop::now()))
    if (const TablePeer* peer = m_peers.find(status.id)) out.tunnels.push_back(tunnel_status(status, *peer, m_keys));
  out.drops = datagram_drops(m_device.statistics());
  out.cookies_sent = m_device.statistics().cookies_sent;
  out.offload_missing = missing_offloads(m_outside.tun.offloads(), m_outside.udp.offloads());
  add_lane(m_plane.drops(), m_outside.tun, m_outside.udp, out);
  for (const auto& lane : m_lanes) {
    add_lane(lane->plane_drops(), lane->outside().tun, lane->outside().udp, out);
    out.drops["unknown_index"] += lane->lane_drops().unknown_index;
    out.drops["malformed"] += lane->lane_drops().malformed;
  }
  return out;
}

}  // namespace quipu::daemon
