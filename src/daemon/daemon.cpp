// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include "base/version.h"
#include "daemon/event_names.h"
#include "daemon/guards.h"
#include "daemon/kernel_queues.h"
#include "daemon/lane_ports.h"
#include "daemon/status_report.h"
#include "service/notify.h"
#include "service/wall_clock.h"
#include "tun/linux_tun.h"

namespace quipu::daemon {
namespace {

// How often the machine is looked at, whatever the kernel announces, and the service manager's watchdog is satisfied.
constexpr Duration kTick = std::chrono::seconds(1);

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::create(std::string config_file, Settings settings,
                                               service::SignalSource signals, service::FilteringSink& log) {
  QUIPU_TRY_ASSIGN(const auto machine, read_machine());
  QUIPU_TRY_ASSIGN(auto stamps, store::StampFile::open(settings.config.device.state_dir));
  QUIPU_TRY_ASSIGN(auto routes, netlink::RouteSocket::open());
  std::unique_ptr<Daemon> daemon(
      new Daemon(std::move(config_file), std::move(signals), log, std::move(routes), std::move(stamps), machine));
  daemon->m_config = settings.config;
  daemon->m_plan = settings.plan;
  daemon->m_certificates.set(certificates_of(settings));
  QUIPU_TRY(daemon->raise_link(settings));
  daemon->note_guards();
  QUIPU_TRY(daemon->open_ports(daemon->m_config.device));
  QUIPU_TRY_ASSIGN(daemon->m_engine,
                   Engine::create(daemon->outside(), std::move(settings), [raw = daemon.get()](const Error& error) {
                     raw->m_outcome = std::unexpected(error);
                     raw->m_loop.stop();
                   }));
  QUIPU_TRY(daemon->open_control(daemon->m_config.device));
  return daemon;
}

Daemon::Daemon(std::string config_file, service::SignalSource signals, service::FilteringSink& log,
               netlink::RouteSocket routes, store::StampFile stamps, const MachineWatch::Reading& machine)
    : m_config_file(std::move(config_file)),
      m_signals(std::move(signals)),
      m_log(log),
      m_routes(std::move(routes)),
      m_stamps(std::move(stamps)),
      m_machine(m_loop, log, machine, [this] { m_engine->erase_sessions(); }),
      m_certificates(log),
      m_signal_watch(m_loop, m_signals.fd()),
      m_tick(m_loop, [this] { tick(); }) {}

Daemon::~Daemon() = default;

// The order is what keeps a protected packet from ever taking the default route.
Result<void> Daemon::raise_link(const Settings& settings) {
  QUIPU_TRY(m_routes.guard(settings.plan));
  const config::DeviceConfig& device = settings.config.device;
  QUIPU_TRY_ASSIGN(m_tun, tun::open_linux_tun_queues({.name = device.name, .mode = tun::TunMode::tun},
                                                     wanted_lanes(device.lanes, device.listen_port)));
  QUIPU_TRY(m_routes.own(settings.plan.name));
  // Before the routes: what is taken away from here on is noticed.
  QUIPU_TRY_ASSIGN(auto monitor, netlink::RouteMonitor::open(settings.plan.name));
  m_link = std::make_unique<LinkKeeper>(m_loop, std::move(monitor), m_routes, m_plan, m_log);
  return m_routes.apply(settings.plan);
}

// Where the number of lanes is ours to choose, a port that somebody else has costs a lane only.
Result<void> Daemon::open_ports(const config::DeviceConfig& device) {
  QUIPU_TRY_ASSIGN(m_udp, open_lane_ports(device.listen_port, m_tun.size()));
  if (m_udp.size() == m_tun.size()) return {};
  const std::string text = std::to_string(m_udp.size()) + " of " + std::to_string(m_tun.size()) + " lanes: UDP port " +
                           std::to_string(m_udp[0]->port() + m_udp.size()) + " is not free";
  if (device.lanes != 0) return fail(Errc::conflict, text + ": free it, or lower device.lanes");
  m_log.warning(event::kFewerLanes, "fewer threads carry packets than could", {{"reason", text}});
  m_tun.resize(m_udp.size());
  return {};
}

Engine::Outside Daemon::outside() {
  Engine::Outside out{
      .loop = m_loop, .tun = *m_tun[0], .udp = *m_udp[0], .lanes = {}, .stamps = m_stamps, .rng = m_rng, .log = m_log};
  for (std::size_t i = 1; i < m_udp.size(); ++i)
    out.lanes.push_back({*m_tun[i], *m_udp[i]});
  return out;
}

Result<void> Daemon::run() {
  watch();
  m_engine->start();
  m_log.info(event::kStarted, "tunnels are guarded and ready",
             {{"version", kVersion},
              {"device", m_tun[0]->name()},
              {"port", std::to_string(m_udp[0]->port())},
              {"lanes", std::to_string(m_udp.size())},
              {"peers", std::to_string(m_config.peers.size())}});
  service::notify_ready();
  m_loop.run();
  stop();
  return m_outcome;
}

void Daemon::watch() {
  m_signal_watch.on_readable([this] { on_signals(); });
  m_control_watch = std::make_unique<net::FdWatch>(m_loop, m_control->fd());
  m_control_watch->on_readable([this] { m_control->on_readable(); });
  tick();
}

// Served by the loop that serves everything else: a loop that hangs lets the watchdog bite.
void Daemon::tick() {
  m_tick.set(net::Loop::now() + kTick);
  service::notify_watchdog();
  m_log.flush();
  m_machine.check();
  m_certificates.check(service::wall_now());
}

void Daemon::on_signals() {
  while (const auto signal = m_signals.next()) {
    if (*signal == service::Signal::terminate) {
      m_loop.stop();
    } else {
      [[maybe_unused]] const auto told = reload();  // what is wrong stands in the log
    }
  }
}

void Daemon::stop() {
  service::notify_stopping();
  m_log.info(event::kStopping, "stopping: data is off, keys are erased, blackhole routes stay");
  m_engine->stop();
  m_link.reset();
  if (const auto removed = m_routes.remove(m_plan); !removed && m_outcome) m_outcome = removed;
  m_control_watch.reset();
  m_control.reset();
  m_engine.reset();
  m_tun.clear();
  m_log.flush();
  m_log.info(event::kStopped, "stopped");
}

control::DeviceStatus Daemon::status() const {
  control::DeviceStatus out = m_engine->status();
  out.version = kVersion;
  out.device = m_tun[0]->name();
  out.uptime_s = seconds(net::Loop::now() - m_started);
  // A tunnel that is up carries nothing while its interface is down, and not everything beside a rule of others.
  out.reason = m_link->trouble();
  for (control::TunnelStatus& tunnel : out.tunnels)
    if (tunnel.reason.empty()) tunnel.reason = out.reason;
  out.certificates = m_certificates.status(service::wall_now());
  out.queue_drops["tun"] = tun_queue_drops(m_tun[0]->name());
  for (const auto& port : m_udp)
    out.queue_drops["udp_receive"] += receive_queue_drops(port->descriptors());
  return out;
}

}  // namespace quipu::daemon
