// SPDX-License-Identifier: Apache-2.0
// A real HttpsServer with the handler of the test's choice, and octets written to it by hand.
#pragma once

#include "fixture.h"
#include "net/https_client.h"
#include "net/https_server.h"
#include "net/tls_socket.h"

namespace quipu::net {

inline SecretBytes secret(std::string_view text) {
  return SecretBytes::copy_of(as_bytes(text));
}

// A connection that says what the test wants and keeps what comes back.
struct RawClient {
  explicit RawClient(std::unique_ptr<TlsSocket> established) : socket(std::move(established)) { read(); }

  void read() {
    socket->read([this](Result<ByteView> octets) {
      if (!octets) {
        closed = octets.error().code;
        return;
      }
      received += as_text(*octets);
      read();
    });
  }

  void say(std::string_view text) {
    socket->write(secret(text), [](auto) {});
  }

  std::unique_ptr<TlsSocket> socket;
  std::string received;
  std::optional<Errc> closed;
};

class HttpsTest : public ::testing::Test {
 protected:
  void open(const HttpsServerLimits& limits = {}) {
    auto opened = HttpsServer::open(
        loop, kLoopback, pki.context("kme-a"), limits,
        {.on_request = [this](HttpRequest request,
                              Responder responder) { handler(std::move(request), std::move(responder)); },
         .error_response =
             [](unsigned status, std::string_view message) {
               return HttpResponse{.status = status, .content_type = "text/plain", .body = secret(message)};
             },
         .caller_of = [](const PeerIdentity& peer) { return peer.is("stranger") ? std::string() : peer.common_name; },
         .on_refused = [this](const Endpoint&, const Error& reason) { refused.push_back(reason); }});
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    server = std::move(*opened);
  }

  HostPort address() const { return {"127.0.0.1", server->local().port}; }

  std::unique_ptr<RawClient> raw(const std::string& name = "sae-a") {
    std::unique_ptr<RawClient> out;
    const TlsConnect connect(loop, pki.context(name), address(), "kme-a", std::chrono::seconds(30),
                             [&](auto socket) { out = std::make_unique<RawClient>(std::move(*socket)); });
    run_until(loop, [&] { return out != nullptr; });
    return out;
  }

  // What comes back until the server closes.
  std::string answer_to(std::string_view text) {
    const auto client = raw();
    client->say(text);
    run_until(loop, [&] { return client->closed.has_value(); });
    return client->received;
  }

  // Answers with method, target and body of what was asked.
  static void echo(HttpRequest request, Responder responder) {
    const std::string head = request.method + " " + request.target + " ";
    SecretBytes body(head.size() + request.body.size());
    ByteWriter(body.mutable_view()).bytes(as_bytes(head)).bytes(request.body.view());
    responder.send({.status = 200, .content_type = "text/plain", .body = std::move(body)});
  }

  TestPki pki;
  Loop loop;
  Callback<void(HttpRequest, Responder)> handler = echo;
  std::vector<Error> refused;
  std::unique_ptr<HttpsServer> server;
};

}  // namespace quipu::net
