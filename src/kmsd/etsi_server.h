// SPDX-License-Identifier: Apache-2.0
// ETSI GS QKD 014 over HTTPS: finds out which SAE asks, turns requests into the core's calls and its replies into HTTP.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/log.h"
#include "config/kmsd_config.h"
#include "etsi/etsi014_server.h"
#include "kms/actions.h"
#include "kmsd/refusal_log.h"
#include "net/https_server.h"
#include "service/wall_clock.h"

namespace quipu::kmsd {

class EtsiServer {
 public:
  // A call of a known SAE; answered by reply() with the same number, now or later.
  using CallHandler = std::function<void(kms::RequestId, const SaeId& caller, etsi::Call)>;

  static Result<std::unique_ptr<EtsiServer>> open(net::Loop& loop, const config::Etsi014Config& config,
                                                  const std::vector<config::SaeConfig>& saes,
                                                  std::shared_ptr<const net::TlsContext> context, CallHandler on_call,
                                                  LogSink& log, std::function<WallTime()> wall_now = service::wall_now);
  EtsiServer(const EtsiServer&) = delete;
  EtsiServer& operator=(const EtsiServer&) = delete;

  void reply(kms::RequestId request, const kms::EtsiReply& reply);
  // Requests whose client has hung up, or may not be answered any more because its certificate has ended meanwhile;
  // each is told once.
  std::vector<kms::RequestId> take_abandoned();

  // With the port that the kernel chose when 0 was configured.
  Endpoint local() const { return m_server->local(); }

  // As net::HttpsServer::set_context().
  void set_context(std::shared_ptr<const net::TlsContext> context, bool distrust) {
    m_server->set_context(std::move(context), distrust);
  }

  void stop(Duration grace, net::Callback<void()> done) { m_server->stop(grace, std::move(done)); }

  // Connections that ended in TLS, by what is no HTTP request, or as too many: no SAE's request was taken.
  std::uint64_t refused_connections() const { return m_strangers.total(); }

  std::uint64_t requests() const { return m_last_request; }

  // Refused requests by HTTP status.
  const std::map<unsigned, std::uint64_t>& refused() const { return m_refused; }

 private:
  EtsiServer(net::Loop& loop, const std::vector<config::SaeConfig>& saes, net::NameRule sae_id_from,
             CallHandler on_call, LogSink& log, std::function<WallTime()> wall_now);

  struct Pending {
    net::Responder responder;
    WallTime until;  // the end of the client's certificate
  };

  void handle(net::HttpRequest request, net::Responder responder);
  const SaeId* caller_of(const net::PeerIdentity& peer) const;
  // Counts it.
  net::HttpResponse refusal(const etsi::ApiError& error);
  void refuse(net::Responder responder, const etsi::ApiError& error);

  std::vector<SaeId> m_saes;
  net::NameRule m_sae_id_from;
  CallHandler m_on_call;
  std::function<WallTime()> m_wall_now;
  RefusalLog m_strangers;
  RefusalLog m_unknown;
  std::uint64_t m_last_request = 0;
  std::map<unsigned, std::uint64_t> m_refused;
  std::unique_ptr<net::HttpsServer> m_server;
  std::map<kms::RequestId, Pending> m_pending;
};

}  // namespace quipu::kmsd
