// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 over mutual TLS, for the KME. Connections live long (keep-alive), requests on one connection are answered
// one after the other (no pipelining), an answer may be given later.
#pragma once

#include "net/http.h"
#include "net/loop.h"

namespace quipu::net {

struct HttpsServerLimits {
  std::size_t max_header = std::size_t{8} * 1024;  // octets of request line and fields: 431 beyond
  std::size_t max_body = std::size_t{256} * 1024;  // octets: 400 beyond
  // A newcomer beyond takes another's place, or is closed at once: fair_share.h says which.
  std::size_t max_connections = 256;
  std::size_t max_requests_per_connection = 100'000;      // then "Connection: close"
  Duration handshake_timeout = std::chrono::seconds(10);  // TLS
  Duration request_timeout = std::chrono::seconds(10);    // from a request's first octet to its last: 408 beyond
  Duration idle_timeout = std::chrono::seconds(75);       // between requests
  Duration write_timeout = std::chrono::seconds(10);      // one answer
};

// The right to answer one request, once, on the loop's thread. Dropped without an answer: 500. Answering after the
// client has gone, or after the server was destroyed, does nothing.
class Responder {
 public:
  struct Sink;

  explicit Responder(std::weak_ptr<Sink> sink) : m_sink(std::move(sink)) {}

  Responder(Responder&&) noexcept = default;
  Responder& operator=(Responder&& other) noexcept;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  ~Responder();

  void send(HttpResponse response);
  // False once the client has hung up, or was given another answer: no need to work on.
  bool wanted() const;

 private:
  std::weak_ptr<Sink> m_sink;
};

class HttpsServer {
 public:
  // What the application has to say; only `on_refused` may be empty.
  struct Application {
    Callback<void(HttpRequest, Responder)> on_request;
    // What the server itself answers with 400, 408, 431, 500 or 503, for which there is a reason in words.
    Callback<HttpResponse(unsigned status, std::string_view message)> error_response;
    // Whose connection it is: callers share what connections there are. Empty: a stranger's, which goes first. When its
    // request announces a body, that is not read: on_request gets the request without body, method and target, and the
    // connection ends with its answer.
    Callback<std::string(const PeerIdentity&)> caller_of;
    // Failed handshakes, broken requests and connections that are too many, for the log.
    Callback<void(const Endpoint& from, const Error& reason)> on_refused = {};
  };

  static Result<std::unique_ptr<HttpsServer>> open(Loop& loop, const Endpoint& local,
                                                   std::shared_ptr<const TlsContext> context,
                                                   const HttpsServerLimits& limits, Application application);
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;
  // Closes everything at once.
  ~HttpsServer();

  // With the port that the kernel chose when 0 was asked for.
  Endpoint local() const;
  // For connections accepted from now on. `distrust`: whoever was accepted before may not be any more, so every
  // connection ends: one whose request has come in full and waits for the handler with 503, whatever the handler says
  // later; one whose answer is being written, with that; any other at once.
  void set_context(std::shared_ptr<const TlsContext> context, bool distrust);
  // Accepts no more, closes idle connections, lets requests under way be answered; `done` when all have gone or the
  // grace is over, whichever is first.
  void stop(Duration grace, Callback<void()> done);
  std::size_t connections() const;

 private:
  HttpsServer() = default;
  struct Core;
  std::shared_ptr<Core> m_core;
};

}  // namespace quipu::net
