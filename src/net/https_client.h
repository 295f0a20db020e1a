// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 over mutual TLS, for the SAE: one server, a small pool of kept-alive connections. Every request gets exactly
// one answer, within its deadline. Nothing is ever sent twice by itself: a resent enc_keys burns keys.
#pragma once

#include <expected>

#include "net/http.h"
#include "net/loop.h"
#include "net/resolver.h"

namespace quipu::net {

struct HttpsClientOptions {
  HostPort server = {};
  // Who must answer. Empty: the host of `server` by the usual rules (DNS or IP SAN of the certificate). Otherwise an id
  // that PeerIdentity::is() must confirm, such as a KME id.
  std::string expected_id = {};
  std::size_t max_connections = 4;
  std::size_t max_waiting = 64;                     // requests without a connection; more fail with Errc::busy
  std::size_t max_header = std::size_t{16} * 1024;  // octets of a reply's head
  std::size_t max_body = std::size_t{4} * 1024 * 1024;
  Duration connect_timeout = std::chrono::seconds(5);  // name, TCP and TLS together
  Duration idle_timeout = std::chrono::seconds(60);    // an unused connection is closed then
};

struct HttpFailure {
  Error error;
  // The server may have acted on the request: its reply was lost, so whatever it handed out is lost too. False: the
  // request never reached it, and sending it again is harmless.
  bool maybe_processed = false;
  // Trying later may help. False: the certificates or the configuration must change first.
  bool retryable = true;
};

class HttpsClient {
 public:
  using Handler = Callback<void(std::expected<HttpResponse, HttpFailure>)>;

  HttpsClient(Loop& loop, HttpsClientOptions options, std::shared_ptr<const TlsContext> context);
  HttpsClient(const HttpsClient&) = delete;
  HttpsClient& operator=(const HttpsClient&) = delete;
  // Pending handlers are dropped without a call.
  ~HttpsClient();

  // `method`, `target`, `content_type` and `body` of the request are used. Answers from the loop. Any HTTP status
  // counts as an answer; redirects are not followed.
  void send(HttpRequest request, Duration timeout, Handler handler);
  // Called for each connection made from now on, once its handshake is done: who is there, and what was agreed on.
  void on_connected(Callback<void(const PeerIdentity& server, const TlsAgreement& agreement)> handler);
  // For connections made from now on: idle ones are closed, those that are being made begin anew, and one with a
  // request under way ends with its answer; or at once, when `distrust` says that who was accepted before may not be
  // any more: its request fails with Errc::closed, from the loop.
  void set_context(std::shared_ptr<const TlsContext> context, bool distrust);

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

// "https://host[:port][/base/path]": default port 443; the base path without a trailing slash. No user, query or
// fragment.
struct HttpsUrl {
  HostPort server;
  std::string base_path;

  bool operator==(const HttpsUrl&) const = default;

  static Result<HttpsUrl> parse(std::string_view text);
};

}  // namespace quipu::net
