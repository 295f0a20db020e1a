// SPDX-License-Identifier: Apache-2.0
// The running quipud: the engine on the kernel's real interface, socket, routes and files, and what a service manager
// and an admin want of it.
#pragma once

#include <memory>

#include "daemon/engine.h"
#include "daemon/link_keeper.h"
#include "daemon/machine_watch.h"
#include "netlink/route_socket.h"
#include "service/control_server.h"
#include "service/log_sinks.h"
#include "service/signals.h"

namespace quipu::daemon {

class Daemon {
 public:
  // Everything stands when this succeeds: blackholes before the interface, then addresses and routes, socket and
  // control socket. When it fails or the process ends, however it ends, the blackholes stay. `log` outlives the daemon.
  static Result<std::unique_ptr<Daemon>> create(std::string config_file, Settings settings,
                                                service::SignalSource signals, service::FilteringSink& log);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  // Until SIGTERM or SIGINT, or an error that ends it. The data is off and the keys are erased when this returns.
  Result<void> run();

 private:
  Daemon(std::string config_file, service::SignalSource signals, service::FilteringSink& log,
         netlink::RouteSocket routes, store::StampFile stamps, const MachineWatch::Reading& machine);

  Result<void> raise_link(const Settings& settings);
  Result<void> open_ports(const config::DeviceConfig& device);
  Engine::Outside outside();
  Result<void> open_control(const config::DeviceConfig& device);
  void watch();
  void tick();
  void on_signals();
  std::optional<std::string> on_request(const control::Request& request, service::ControlServer::ClientId client);
  std::optional<std::string> rekey(const control::RekeyRequest& request, service::ControlServer::ClientId client);
  Result<control::ReloadResult> reload();
  Result<control::ReloadResult> apply(Settings settings);
  Result<void> change_routes(const netlink::LinkPlan& plan);
  void note_guards();
  void log_reload(const control::ReloadResult& result);
  control::DeviceStatus status() const;
  void stop();

  std::string m_config_file;
  service::SignalSource m_signals;
  service::FilteringSink& m_log;
  crypto::SystemRng m_rng;
  net::Loop m_loop;
  netlink::RouteSocket m_routes;
  store::StampFile m_stamps;
  MachineMonitor m_machine;
  service::CertificateWatch m_certificates;
  TimePoint m_started = net::Loop::now();
  config::QuipudConfig m_config;
  netlink::LinkPlan m_plan;
  std::vector<std::unique_ptr<tun::TunDevice>> m_tun;  // a queue for each lane
  std::unique_ptr<LinkKeeper> m_link;
  std::vector<std::unique_ptr<net::UdpBind>> m_udp;  // a port for each lane
  std::unique_ptr<Engine> m_engine;
  std::unique_ptr<service::ControlServer> m_control;
  std::unique_ptr<net::FdWatch> m_control_watch;
  net::FdWatch m_signal_watch;
  net::Timer m_tick;
  Result<void> m_outcome;
};

}  // namespace quipu::daemon
