// SPDX-License-Identifier: Apache-2.0
#include "test_kms.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "crypto/pki.h"
#include "crypto/revocation.h"
#include "net/sockaddr.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

// A certificate may not outlive its authority's, which was made earlier.
crypto::Validity valid_for(std::chrono::hours hours) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return {.not_before = now - 1h, .not_after = now + hours};
}

}  // namespace

TestKms::TestKms(net::Loop& loop) : m_loop(loop) {
  auto ca = crypto::create_ca("test", crypto::CertificateKey::ecdsa_p256, valid_for(2h));
  EXPECT_TRUE(ca.has_value());
  m_ca_pem = ca->certificate_pem;
  m_ca_key = std::move(ca->private_key_pem);
  open();
}

TestKms::TestKms(net::Loop& loop, const TestKms& sibling)
    : m_loop(loop), m_ca_pem(sibling.m_ca_pem), m_ca_key(sibling.m_ca_key.clone()) {
  open();
}

void TestKms::open() {
  m_folder.write("ca.pem", m_ca_pem);
  const std::string own = certificate_of("kme");
  auto tls = net::TlsContext::load({m_folder.path("ca.pem"), own + ".pem", own + ".key"});
  EXPECT_TRUE(tls.has_value());
  m_tls = std::move(*tls);
  start();
}

std::string TestKms::certificate_of(const std::string& name) {
  const crypto::CertificateNames names{
      .common_name = name, .uris = {}, .dns = {name}, .addresses = {*IpAddress::parse("127.0.0.1")}};
  const auto issued =
      crypto::issue_certificate(m_ca_pem, m_ca_key, names, crypto::CertificateKey::ecdsa_p256, valid_for(1h));
  EXPECT_TRUE(issued.has_value());
  m_folder.write(name + ".pem", issued->certificate_pem);
  m_folder.write(name + ".key", as_text(issued->private_key_pem.view()));
  return m_folder.path(name);
}

KmsSettings TestKms::settings_for(const std::string& own, const std::string& name) {
  const std::string files = certificate_of(own);
  KmsSettings settings;
  settings.config.name = name;
  settings.config.sae_id = SaeId(own);
  settings.config.url.server = {.host = "127.0.0.1", .port = m_port, .literal = std::nullopt};
  settings.config.tls = {.ca = {m_folder.path("ca.pem")}, .cert = {files + ".pem"}, .key = {files + ".key"}};
  auto tls = net::TlsContext::load({m_folder.path("ca.pem"), files + ".pem", files + ".key"});
  EXPECT_TRUE(tls.has_value());
  settings.tls.context = std::move(*tls);
  return settings;
}

std::string TestKms::empty_revocation_list() {
  const auto list = crypto::create_revocation_list(m_ca_pem, m_ca_key, {}, {}, valid_for(1h));
  EXPECT_TRUE(list.has_value());
  return m_folder.write("crl.pem", list->pem);
}

void TestKms::start(const net::HttpsServerLimits& limits) {
  auto server = net::HttpsServer::open(
      m_loop, Endpoint{*IpAddress::parse("127.0.0.1"), m_port}, m_tls, limits,
      {.on_request = [this](net::HttpRequest request,
                            net::Responder responder) { serve(std::move(request), std::move(responder)); },
       .error_response =
           [](unsigned status, std::string_view) {
             return net::HttpResponse{.status = status, .content_type = {}, .body = {}};
           },
       .caller_of = [](const net::PeerIdentity& peer) { return peer.common_name; },
       .on_refused = [this](const Endpoint&, const Error&) { ++refused_connections; }});
  ASSERT_TRUE(server.has_value()) << server.error().text;
  m_server = std::move(*server);
  m_port_held.reset();
  m_port = m_server->local().port;
}

void TestKms::stop() {
  m_held.clear();
  m_server.reset();
  m_port_held.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;  // beside the connections that are ending
  EXPECT_EQ(::setsockopt(m_port_held.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
  const net::SocketAddress address = net::to_sockaddr({*IpAddress::parse("127.0.0.1"), m_port, 0});
  EXPECT_EQ(::bind(m_port_held.get(), address.get(), address.size), 0);
}

void TestKms::release() {
  hold = false;
  for (Held& held : m_held)
    held.responder.send(answer(held.request));
  m_held.clear();
}

void TestKms::serve(net::HttpRequest request, net::Responder responder) {
  if (hold)
    m_held.push_back({std::move(request), std::move(responder)});
  else
    responder.send(answer(request));
}

net::HttpResponse TestKms::answer(const net::HttpRequest& request) {
  auto call = etsi::parse_call(request.method, request.target, request.body.view());
  EXPECT_TRUE(call.has_value()) << request.method << " " << request.target;
  if (std::holds_alternative<etsi::EncKeysCall>(*call)) ++enc_calls;
  if (std::holds_alternative<etsi::DecKeysCall>(*call)) ++dec_calls;
  if (std::holds_alternative<etsi::StatusCall>(*call)) ++status_calls;
  net::HttpResponse response;
  if (only_method && *only_method != request.method && !std::holds_alternative<etsi::StatusCall>(*call)) {
    response.status = method_refusal.http_status;
    response.body = etsi::write_error(method_refusal);
    return response;
  }
  const auto& error = status_refusal && std::holds_alternative<etsi::StatusCall>(*call) ? status_refusal : refusal;
  if (error) {
    response.status = error->http_status;
    response.body = etsi::write_error(*error);
  } else if (nonsense) {
    response.body = SecretBytes::copy_of(as_bytes(*nonsense));
  } else if (const auto* enc = std::get_if<etsi::EncKeysCall>(&*call)) {
    response.body = give(*enc);
  } else if (const auto* dec = std::get_if<etsi::DecKeysCall>(&*call)) {
    auto container = fetch(*dec);
    if (!container) response.status = container.error().http_status;
    response.body = container ? std::move(*container) : etsi::write_error(container.error());
  } else {
    response.body = etsi::write_status({.source_kme_id = KmeId("kme"),
                                        .target_kme_id = KmeId("kme"),
                                        .master_sae_id = SaeId(request.peer->common_name),
                                        .slave_sae_id = std::get<etsi::StatusCall>(*call).slave,
                                        .key_size = 256,
                                        .stored_key_count = 1000,
                                        .max_key_count = 1000,
                                        .max_key_per_request = 16,
                                        .max_key_size = 256,
                                        .min_key_size = 256,
                                        .max_sae_id_count = 0,
                                        .simulated = simulated});
  }
  return response;
}

SecretBytes TestKms::give(const etsi::EncKeysCall& call) {
  etsi::KeyContainer container{.keys = {}, .simulated = simulated};
  for (std::uint32_t i = 0; i < call.request.number.value_or(1); ++i) {
    std::array<std::uint8_t, 16> id{};
    m_rng.fill(id);
    etsi::Key key{KeyId(Uuid::from_random(id).text()), SecretBytes(32)};
    m_rng.fill(key.bytes.mutable_view());
    m_keys.emplace(key.id, key.bytes.clone());
    container.keys.push_back(std::move(key));
  }
  return etsi::write_container(container);
}

std::expected<SecretBytes, etsi::ApiError> TestKms::fetch(const etsi::DecKeysCall& call) {
  etsi::KeyContainer container{.keys = {}, .simulated = simulated};
  for (const KeyId& id : call.key_ids.ids) {
    auto key = m_keys.extract(id);
    if (key.empty()) return std::unexpected(etsi::ApiError{400, std::string(etsi::kKeysNotFound), {}});
    container.keys.push_back({id, std::move(key.mapped())});
  }
  return etsi::write_container(container);
}

}  // namespace quipu::daemon
