// SPDX-License-Identifier: Apache-2.0
// Composition of quipu-kmsd: one loop, one thread, one store, one core, and the parts that carry out what the core
// decides. The only visitor of the core's actions.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/diff.h"
#include "config/kmsd_config.h"
#include "kmsd/configuration.h"
#include "kmsd/core.h"
#include "kmsd/entropy_reader.h"
#include "kmsd/etsi_server.h"
#include "kmsd/km_links.h"
#include "kmsd/links.h"
#include "kmsd/store_care.h"
#include "net/loop.h"
#include "service/certificates.h"
#include "service/control_server.h"
#include "service/log_sinks.h"
#include "service/named_files.h"
#include "service/signals.h"

namespace quipu::kmsd {

class Kmsd {
 public:
  // Opens every socket, starts the drivers. `core` is of this configuration and machine. `loop` and `log` outlive this;
  // the signals are blocked already.
  static Result<std::unique_ptr<Kmsd>> start(net::Loop& loop, Configuration configuration, Core core,
                                             service::SignalSource signals, service::FilteringSink& log,
                                             MachineSource machine, const DriverFiles& drivers = find_driver_files());
  Kmsd(const Kmsd&) = delete;
  Kmsd& operator=(const Kmsd&) = delete;
  ~Kmsd();

  // Why the loop was stopped: nothing after SIGTERM, else what went wrong.
  const std::optional<Error>& failure() const { return m_failure; }

  // By SIGTERM, whatever went wrong afterwards.
  bool is_stopping() const { return m_stopping; }

 private:
  Kmsd(net::Loop& loop, Configuration configuration, Core core, service::SignalSource signals,
       service::FilteringSink& log, MachineSource machine);

  Result<void> open_sockets();
  Result<void> open_control();
  void start_links(const DriverFiles& drivers);
  void start_entropy();

  void perform(kms::Actions actions);
  void end_turn();
  void perform(kms::SendLink& action);
  void perform(kms::CloseLink& action);
  void perform(kms::LinkUp& action);
  void perform(kms::ReplyEtsi& action);
  void perform(const kms::AuditDelivery& action);
  void perform(kms::DeliverDriverMessage& action);
  void perform(kms::Report& action);
  void perform(kms::Fatal& action);

  void on_link_received(kms::LinkId link, ByteView octets);
  void on_link_disconnected(kms::LinkId link, const Error& reason);
  void on_etsi_request(kms::RequestId id, const SaeId& caller, etsi::Call call);
  void on_timeout();
  void on_signal();
  void on_second();
  bool is_same_machine();
  void watch_machine();
  void forget_abandoned();
  void stop(std::optional<Error> failure);
  void write_audit();
  Result<control::AuditPages> read_audit(std::uint64_t after);
  std::uint64_t lost_octets(const KmeId& pool) const;
  Result<control::VoidResult> void_pool(const KmeId& peer);
  // The reply, or nothing when it is given later.
  std::optional<std::string> back_up(service::ControlServer::ClientId client);
  std::string backed_up(const Result<void>& done);
  std::optional<std::string> reload(service::ControlServer::ClientId client);
  Result<control::ReloadResult> reload();
  bool names_this_run(const service::TlsEnd& km_link) const;
  bool distrusts_callers(const Configuration& fresh) const;
  void tell_tls(const Configuration& fresh, const config::KmsdDiff& difference, control::ReloadResult& result) const;
  void adopt(Configuration fresh);
  std::optional<std::string> answer(const control::Request& request, service::ControlServer::ClientId client);
  std::optional<control::EntropyStatus> entropy_status(const kms::RelayStatus& relay) const;
  std::string relay_json() const;
  std::string status_json() const;

  net::Loop& m_loop;
  service::FilteringSink& m_log;
  Configuration m_configuration;
  TimePoint m_started;
  std::optional<Error> m_failure;
  bool m_stopping = false;
  MachineSource m_machine_source;
  service::MachineState m_machine;
  service::SignalSource m_signals;
  std::unique_ptr<crypto::SystemRng> m_rng;  // the store's and the core's
  std::unique_ptr<store::SqliteStore> m_store;
  std::unique_ptr<AuditWriter> m_audit;
  StoreCare m_store_care;
  service::CertificateWatch m_certificates;
  std::unique_ptr<kms::Kme> m_kme;
  std::unique_ptr<KmLinks> m_km_links;
  std::unique_ptr<EtsiServer> m_etsi;
  std::unique_ptr<Links> m_links;
  std::optional<EntropyReader> m_entropy;
  std::unique_ptr<service::ControlServer> m_control;
  kms::Actions m_decided;  // in this turn of the loop, and not carried out yet
  std::vector<kms::ReplyEtsi> m_replies;
  net::Deferred m_turn_end;
  net::Deferred m_overdue;
  net::Timer m_deadline;
  net::Timer m_second;
  net::FdWatch m_signal_watch;
  std::unique_ptr<net::FdWatch> m_machine_watch;
  std::unique_ptr<net::FdWatch> m_control_watch;
};

}  // namespace quipu::kmsd
