// SPDX-License-Identifier: Apache-2.0
// quipu-kmsd when its store cannot be used: it is damaged, sealed with another key, or of a later version. It runs to
// say so, and what to do, to whoever asks: the control socket answers `status`, and ETSI 014 answers 503. There is no
// KM link and no driver, and nothing is done with the store, until it is restarted.
#pragma once

#include <memory>

#include "kmsd/configuration.h"
#include "kmsd/etsi_server.h"
#include "net/loop.h"
#include "service/certificates.h"
#include "service/control_server.h"
#include "service/log_sinks.h"
#include "service/signals.h"

namespace quipu::kmsd {

class OutOfService {
 public:
  // `reason`: why the store cannot be used. `loop` and `log` outlive this; the signals are blocked already.
  static Result<std::unique_ptr<OutOfService>> start(net::Loop& loop, Configuration configuration, Error reason,
                                                     service::SignalSource signals, service::FilteringSink& log);
  OutOfService(const OutOfService&) = delete;
  OutOfService& operator=(const OutOfService&) = delete;

 private:
  OutOfService(net::Loop& loop, Configuration configuration, Error reason, service::SignalSource signals,
               service::FilteringSink& log);

  Result<void> open();
  std::string answer(const control::Request& request) const;
  void on_second();
  void on_signal();
  void refuse_reload();

  net::Loop& m_loop;
  service::FilteringSink& m_log;
  Configuration m_configuration;
  Error m_reason;
  TimePoint m_started;
  bool m_stopping = false;
  service::SignalSource m_signals;
  service::CertificateWatch m_certificates;
  std::unique_ptr<EtsiServer> m_etsi;
  std::unique_ptr<service::ControlServer> m_control;
  net::Timer m_second;
  net::FdWatch m_signal_watch;
  std::unique_ptr<net::FdWatch> m_control_watch;
};

}  // namespace quipu::kmsd
