// SPDX-License-Identifier: Apache-2.0
#include "kmsd/out_of_service.h"

#include <utility>

#include "kms/request_rules.h"
#include "kmsd/event_names.h"
#include "kmsd/status.h"
#include "service/notify.h"
#include "service/wall_clock.h"
#include "store/counting_vfs.h"

namespace quipu::kmsd {
namespace {

using std::chrono::seconds;

constexpr Duration kStopGrace = seconds(2);

}  // namespace

Result<std::unique_ptr<OutOfService>> OutOfService::start(net::Loop& loop, Configuration configuration, Error reason,
                                                          service::SignalSource signals, service::FilteringSink& log) {
  std::unique_ptr<OutOfService> daemon(
      new OutOfService(loop, std::move(configuration), std::move(reason), std::move(signals), log));
  QUIPU_TRY(daemon->open());
  daemon->on_second();
  log.error(event::kOutOfService,
            "the store cannot be used: this KME gives no keys until that is mended and quipu-kmsd is restarted",
            {error_field(daemon->m_reason), {"alarm", "yes"}});
  return daemon;
}

OutOfService::OutOfService(net::Loop& loop, Configuration configuration, Error reason, service::SignalSource signals,
                           service::FilteringSink& log)
    : m_loop(loop),
      m_log(log),
      m_configuration(std::move(configuration)),
      m_reason(std::move(reason)),
      m_started(net::Loop::now()),
      m_signals(std::move(signals)),
      m_certificates(log),
      m_second(loop, [this] { on_second(); }),
      m_signal_watch(loop, m_signals.fd()) {
  m_signal_watch.on_readable([this] { on_signal(); });
  m_certificates.set(certificates_of(m_configuration));
}

Result<void> OutOfService::open() {
  const config::KmsdConfig& values = m_configuration.values;
  QUIPU_TRY_ASSIGN(m_etsi, EtsiServer::open(
                               m_loop, values.etsi014, values.saes, m_configuration.etsi014.context,
                               [this](kms::RequestId id, const SaeId& /*caller*/, const etsi::Call& /*call*/) {
                                 m_etsi->reply(id, kms::unavailable("this KME is out of service: it cannot use its "
                                                                    "store; its operator knows why"));
                               },
                               m_log));
  QUIPU_TRY_ASSIGN(m_control,
                   service::ControlServer::create(
                       {.path = values.kme.control_socket},
                       [this](const control::Request& request, auto /*client*/) { return answer(request); }, m_log));
  m_control_watch = std::make_unique<net::FdWatch>(m_loop, m_control->fd());
  m_control_watch->on_readable([this] { m_control->on_readable(); });
  return {};
}

std::string OutOfService::answer(const control::Request& request) const {
  if (!std::holds_alternative<control::StatusRequest>(request))
    return control::encode_error({Errc::unavailable, "quipu-kmsd is out of service: " + m_reason.text});
  Reports reports;
  reports.reason = m_reason.text;
  reports.requests = m_etsi->requests();
  reports.refused = m_etsi->refused();
  reports.refused_connections = {{"etsi014", m_etsi->refused_connections()}};
  reports.store_syncs = store::syncs_so_far();
  reports.uptime = net::Loop::now() - m_started;
  reports.certificates = m_certificates.status(service::wall_now());
  return control::encode_ok(control::to_json(make_status(m_configuration.values, reports)));
}

void OutOfService::on_second() {
  m_second.set(net::Loop::now() + seconds(1));
  m_log.flush();
  service::notify_watchdog();
  m_certificates.check(service::wall_now());
}

void OutOfService::on_signal() {
  while (const auto signal = m_signals.next()) {
    if (*signal != service::Signal::terminate) {
      refuse_reload();
      continue;
    }
    if (std::exchange(m_stopping, true)) continue;
    service::notify_stopping();
    m_etsi->stop(kStopGrace, [this] { m_loop.stop(); });
  }
}

void OutOfService::refuse_reload() {
  service::notify_reloading();
  m_log.error(event::kReloadRefused, "the store cannot be used: once that is mended, restart quipu-kmsd",
              {error_field(m_reason)});
  service::notify_ready();
}

}  // namespace quipu::kmsd
