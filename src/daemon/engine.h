// SPDX-License-Identifier: Apache-2.0
// The Device with everything that it needs around it, in turns of one loop: an event comes in, the Device is told, its
// actions are carried out. Here is the only visitor of protocol's actions; it decides nothing itself. The kernel's part
// (interface, routes, sockets, files) comes from outside, so that two of these run in one test.
#pragma once

#include <memory>

#include "control/status.h"
#include "crypto/rng.h"
#include "daemon/data_plane.h"
#include "daemon/endpoint_names.h"
#include "daemon/key_fetcher.h"
#include "daemon/lane_worker.h"
#include "daemon/peer_table.h"
#include "daemon/rekey_watch.h"
#include "store/stamp_file.h"

namespace quipu::daemon {

class Engine {
 public:
  // All outlive the engine.
  struct Outside {
    net::Loop& loop;
    tun::TunDevice& tun;
    net::UdpBind& udp;
    std::vector<LaneWorker::Outside> lanes;  // after the first, whose TUN queue and port are those above
    store::StampFile& stamps;
    crypto::Rng& rng;
    LogSink& log;
  };

  // Called at most once, from the loop: the engine cannot go on.
  using FailureHandler = net::Callback<void(const Error&)>;

  // Peers are in place, and nothing is carried yet. Errors as Device::create and add_peer.
  static Result<std::unique_ptr<Engine>> create(Outside outside, Settings settings, FailureHandler on_failure);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  void start();
  // Carries nothing any more, in either direction, and asks nobody for anything: whatever comes in later comes to
  // nothing.
  void stop();

  // Whether reconfigure() would take these. Errors as Device::add_peer, for the peers as a whole.
  Result<void> check(const Settings& settings) const;

  // Makes peers, KMSs and the plan those of `settings`. Peers that are the same keep their sessions. The device's own
  // section is the caller's business. An error, which is check()'s, has changed nothing.
  Result<control::ReloadResult> reconfigure(Settings settings);

  // Starts a rekey with one peer, or with all that can. The handler is called from the loop, unless this returns an
  // error. Errc::not_found: no such peer; unavailable: why not one can start.
  Result<void> rekey(const std::optional<std::string>& peer, RekeyWatch::Handler handler);

  // As Device::permit_stamp_jump, by name.
  Result<void> permit_stamp_jump(const std::string& peer);

  const crypto::X25519PublicKey& public_key() const { return m_device.public_key(); }

  // What the tunnels and datagrams are like; what concerns the process is left empty.
  control::DeviceStatus status() const;

  // Erases all keys at once.
  void erase_sessions();

 private:
  struct Visitor;

  Engine(Outside outside, protocol::Device device, const Settings& settings, FailureHandler on_failure);

  // The end of every event: lets the Device work, carries out what it asks for, sets the alarm.
  void turn();
  void perform_actions();
  void schedule();
  void store_stamps();
  // Has the loop run `work` on its own thread, unless the engine has gone by then.
  template <class Work>
  void post(Work work);
  LaneWorker::Handlers lane_handlers();
  void stop_lanes();
  void on_key(const protocol::RequestKey& request, Result<FetchedKey> result);
  void guard(Result<void> carried);
  control::ReloadResult apply(PeerChanges changes);
  void remove_peer(protocol::PeerId id);
  void add_peer(TablePeer peer);
  Result<void> update_peer(TablePeer& peer);
  void look_up_endpoint(const TablePeer& peer);
  Error no_peer(const std::string& name) const;

  Outside m_outside;
  protocol::Device m_device;
  protocol::Actions m_actions;
  DataPlane m_plane;
  PacketPump m_pump;
  std::vector<std::unique_ptr<LaneWorker>> m_lanes;
  netlink::LinkPlan m_plan;
  FailureHandler m_on_failure;
  PeerTable m_peers;
  KeyFetcher m_keys;
  EndpointNames m_names;
  RekeyWatch m_rekeys;
  net::Timer m_alarm;
  std::optional<TimePoint> m_alarm_at;
  // What the Device wants reserved and could not be stored yet; it asks only once.
  std::optional<protocol::Stamp> m_stamps_wanted;
  bool m_stamps_failed = false;
  net::Timer m_stamps_retry;
  bool m_stopped = false;
  std::shared_ptr<const bool> m_alive = std::make_shared<const bool>(true);
};

}  // namespace quipu::daemon
