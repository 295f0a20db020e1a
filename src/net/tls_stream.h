// SPDX-License-Identifier: Apache-2.0
// Messages over mutual TLS: each is a u32 length and that many octets. Used by the KM link. Reconnecting, and whom to
// accept, are the caller's business.
#pragma once

#include "base/ip.h"
#include "base/secret.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"

namespace quipu::net {

struct TlsStreamLimits {
  std::size_t max_message = std::size_t{256} * 1024;      // octets; a longer one ends the stream
  std::size_t max_queued = std::size_t{8} * 1024 * 1024;  // octets waiting to be sent
  Duration handshake_timeout = std::chrono::seconds(10);  // TCP, TLS and name resolution together
  Duration idle_timeout = std::chrono::seconds(30);       // nothing received; the peers keep alive by messages
  Duration write_timeout = std::chrono::seconds(15);      // no progress while something waits to be sent
  std::size_t max_pending_handshakes = 64;                // listener: beyond, newcomers replace
};

class TlsSocket;

// An established connection. Destroying it closes at once.
class TlsStream {
 public:
  // Neither callback is called before start(), nor after on_closed.
  struct Handlers {
    // The view is good during the call.
    Callback<void(ByteView message)> on_message;
    // Once. Errc::closed the peer ended the stream, too_large or malformed it broke the framing, timeout, io. Not
    // called for our own close() or destruction.
    Callback<void(Error reason)> on_closed;
    // Some of what was queued has been sent. May be empty.
    Callback<void()> on_sent{};
  };

  TlsStream(Loop& loop, std::unique_ptr<TlsSocket> socket, const TlsStreamLimits& limits);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;
  ~TlsStream();

  void start(Handlers handlers);
  // Queues a copy, which goes out when the loop's turn has ended. Errc::too_large, Errc::exhausted when the queue has
  // no room (the stream goes on), Errc::closed.
  Result<void> send(ByteView message);
  // What is queued goes out now.
  void flush();
  // Sends what is queued, says goodbye (close_notify), then closes; no callback runs any more.
  void close();

  // Octets that wait to be sent.
  std::size_t queued() const;
  const PeerIdentity& peer() const;
  const Endpoint& remote() const;

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

// Accepts connections whose certificate our CA signed; it is for on_accept to judge peer() and drop strangers.
class TlsListener {
 public:
  using AcceptHandler = Callback<void(std::unique_ptr<TlsStream>)>;

  // Failed handshakes are told to `on_refused` (may be empty), for the log.
  using RefusedHandler = Callback<void(const Endpoint& from, const Error& reason)>;

  static Result<std::unique_ptr<TlsListener>> open(Loop& loop, const Endpoint& local,
                                                   std::shared_ptr<const TlsContext> context,
                                                   const TlsStreamLimits& limits, AcceptHandler on_accept,
                                                   RefusedHandler on_refused = {});
  ~TlsListener();

  // With the port that the kernel chose when 0 was asked for.
  Endpoint local() const;
  // As TlsAcceptor::set_context().
  void set_context(std::shared_ptr<const TlsContext> context, bool distrust);

 private:
  TlsListener() = default;
  struct Core;
  std::shared_ptr<Core> m_core;
};

// One attempt to connect. Destroying it cancels.
class TlsConnector {
 public:
  // Errc::authentication: one end refused the other's certificate; not_permitted: the certificate is good but does not
  // say `expected_id`; timeout; unavailable: nobody listens or no such host.
  using Handler = Callback<void(Result<std::unique_ptr<TlsStream>>)>;

  TlsConnector(Loop& loop, std::shared_ptr<const TlsContext> context, const TlsStreamLimits& limits, HostPort to,
               std::string expected_id, Handler handler);
  TlsConnector(const TlsConnector&) = delete;
  TlsConnector& operator=(const TlsConnector&) = delete;
  ~TlsConnector();

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

}  // namespace quipu::net
