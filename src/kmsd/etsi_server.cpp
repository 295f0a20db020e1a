// SPDX-License-Identifier: Apache-2.0
#include "kmsd/etsi_server.h"

#include <algorithm>

#include "kms/request_rules.h"
#include "kmsd/event_names.h"

namespace quipu::kmsd {
namespace {

net::NameRule name_rule(config::SaeIdFrom from) {
  switch (from) {
    case config::SaeIdFrom::uri_san: return net::NameRule::uri_san;
    case config::SaeIdFrom::dns_san: return net::NameRule::dns_san;
    case config::SaeIdFrom::cn: return net::NameRule::common_name;
    case config::SaeIdFrom::san_or_cn: break;
  }
  return net::NameRule::san_or_common_name;
}

template <class... Cases>
struct Visitor : Cases... {
  using Cases::operator()...;
};

net::HttpResponse to_http(const kms::EtsiReply& reply) {
  return std::visit(
      Visitor{[](const etsi::Status& status) { return net::HttpResponse{.body = etsi::write_status(status)}; },
              [](const etsi::KeyContainer& keys) { return net::HttpResponse{.body = etsi::write_container(keys)}; },
              [](const etsi::ApiError& error) {
                return net::HttpResponse{.status = error.http_status, .body = etsi::write_error(error)};
              }},
      reply);
}

}  // namespace

Result<std::unique_ptr<EtsiServer>> EtsiServer::open(net::Loop& loop, const config::Etsi014Config& config,
                                                     const std::vector<config::SaeConfig>& saes,
                                                     std::shared_ptr<const net::TlsContext> context,
                                                     CallHandler on_call, LogSink& log,
                                                     std::function<WallTime()> wall_now) {
  std::unique_ptr<EtsiServer> server(
      new EtsiServer(loop, saes, name_rule(config.sae_id_from), std::move(on_call), log, std::move(wall_now)));
  EtsiServer* const self = server.get();
  net::HttpsServerLimits limits;
  limits.max_body = etsi::kMaxRequestBody;
  auto opened = net::HttpsServer::open(
      loop, config.listen, std::move(context), limits,
      {.on_request = [self](net::HttpRequest request,
                            net::Responder responder) { self->handle(std::move(request), std::move(responder)); },
       .error_response =
           [self](unsigned status, std::string_view message) {
             return self->refusal({.http_status = status, .message = std::string(message), .details = {}});
           },
       .caller_of =
           [self](const net::PeerIdentity& peer) {
             const SaeId* const caller = self->caller_of(peer);
             return caller == nullptr ? std::string() : caller->value();
           },
       .on_refused = [self](const Endpoint& from, const Error& reason) { self->m_strangers.note(from, reason); }});
  if (!opened) return fail_at("ETSI 014 server at " + config.listen.text(), opened.error());
  server->m_server = *std::move(opened);
  return server;
}

EtsiServer::EtsiServer(net::Loop& loop, const std::vector<config::SaeConfig>& saes, net::NameRule sae_id_from,
                       CallHandler on_call, LogSink& log, std::function<WallTime()> wall_now)
    : m_sae_id_from(sae_id_from),
      m_on_call(std::move(on_call)),
      m_wall_now(std::move(wall_now)),
      m_strangers(loop, log, event::kEtsi014Refused, "a connection to the ETSI 014 server was refused"),
      m_unknown(loop, log, event::kSaeUnknown,
                "a certificate of our authority names no SAE of this KME, or has ended") {
  for (const config::SaeConfig& sae : saes)
    m_saes.push_back(sae.id);
}

// Clause 5.1: every request is attributed to one SAE by its certificate, and refused when that is none of ours.
const SaeId* EtsiServer::caller_of(const net::PeerIdentity& peer) const {
  for (const std::string& name : peer.names(m_sae_id_from))
    if (const auto found = std::ranges::find(m_saes, SaeId(name)); found != m_saes.end()) return &*found;
  return nullptr;
}

void EtsiServer::handle(net::HttpRequest request, net::Responder responder) {
  const kms::RequestId id(++m_last_request);
  const SaeId* const caller = caller_of(*request.peer);
  if (caller == nullptr) {
    const auto names = request.peer->names(m_sae_id_from);
    m_unknown.note(request.remote, {Errc::not_permitted, "it is of " + (names.empty() ? "nobody" : names.front()) +
                                                             ", for whom there is no [[sae]]"});
    return refuse(std::move(responder), kms::unauthorised());
  }
  // The handshake has looked at it, which may be long ago.
  if (request.peer->not_after < m_wall_now()) {
    m_unknown.note(request.remote, {Errc::authentication,
                                    "the certificate of SAE " + caller->value() + " has ended since it connected"});
    return refuse(std::move(responder), kms::unauthorised());
  }
  auto call = etsi::parse_call(request.method, request.target, request.body.view());
  if (!call) return refuse(std::move(responder), call.error());
  m_pending.emplace(id, Pending{std::move(responder), request.peer->not_after});
  m_on_call(id, *caller, *std::move(call));
}

net::HttpResponse EtsiServer::refusal(const etsi::ApiError& error) {
  ++m_refused[error.http_status];
  return to_http(error);
}

void EtsiServer::refuse(net::Responder responder, const etsi::ApiError& error) {
  responder.send(refusal(error));
}

void EtsiServer::reply(kms::RequestId request, const kms::EtsiReply& reply) {
  const auto found = m_pending.find(request);
  if (found == m_pending.end()) return;
  net::Responder responder = std::move(found->second.responder);
  m_pending.erase(found);
  if (const auto* error = std::get_if<etsi::ApiError>(&reply)) return refuse(std::move(responder), *error);
  responder.send(to_http(reply));
}

std::vector<kms::RequestId> EtsiServer::take_abandoned() {
  std::vector<kms::RequestId> abandoned;
  if (m_pending.empty()) return abandoned;
  const WallTime now = m_wall_now();
  for (auto it = m_pending.begin(); it != m_pending.end();) {
    const auto current = it++;
    const bool is_over = current->second.until < now;
    if (current->second.responder.wanted() && !is_over) continue;
    abandoned.push_back(current->first);
    net::Responder responder = std::move(current->second.responder);
    m_pending.erase(current);
    if (is_over) refuse(std::move(responder), kms::unauthorised());
  }
  return abandoned;
}

}  // namespace quipu::kmsd
