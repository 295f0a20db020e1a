// SPDX-License-Identifier: Apache-2.0
// A stream of octets over mutual TLS: what the framed streams, the HTTP server and the HTTP client stand on. Octets
// that may be keys pass through locked memory only.
#pragma once

#include "base/ip.h"
#include "base/secret.h"
#include "net/handshake_budget.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"

namespace quipu::net {

// An established connection. Destroying it closes at once; callbacks that wait are dropped.
class TlsSocket {
 public:
  struct Core;

  explicit TlsSocket(std::shared_ptr<Core> core);
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;
  ~TlsSocket();

  // One read at a time. The view is good during the call. Errc::closed: the peer said goodbye.
  void read(Callback<void(Result<ByteView>)> handler);
  // One write at a time, beside a read. All of it is handed to the kernel before the handler is called.
  void write(SecretBytes octets, Callback<void(Result<void>)> handler);

  // Says goodbye and closes once the peer has done the same, or after two seconds: so the last octets written are not
  // lost to a reset. Not while a write is under way.
  static void finish(std::unique_ptr<TlsSocket> socket);

  const std::shared_ptr<const PeerIdentity>& peer() const;
  const Endpoint& remote() const;
  TlsAgreement agreement() const;

 private:
  std::shared_ptr<Core> m_core;
};

// One attempt to connect, trying a name's addresses one after the other. Destroying it cancels.
class TlsConnect {
 public:
  using Handler = Callback<void(Result<std::unique_ptr<TlsSocket>>)>;

  // `expected_id` empty: the certificate must be for `to.host`. `timeout` for all of it.
  TlsConnect(Loop& loop, std::shared_ptr<const TlsContext> context, HostPort to, std::string expected_id,
             Duration timeout, Handler handler);
  TlsConnect(const TlsConnect&) = delete;
  TlsConnect& operator=(const TlsConnect&) = delete;
  ~TlsConnect();

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

class TlsAcceptor {
 public:
  struct Options {
    Duration handshake_timeout = std::chrono::seconds(10);
    // Of these, until the client's first message has come in full.
    Duration hello_timeout = std::chrono::seconds(3);
    // Handshakes that each sender may begin: counted at the first octets that come, so that silence spends nothing.
    // Until then a connection costs a socket and no TLS session; nor does whoever exceeds this get one.
    HandshakeLimits senders = {};
    // Connections without a handshake that has ended, of which one sender (IPv6: a /64) may hold a quarter. A sender at
    // this limit loses one of its own; when all are taken, the sender that holds most loses one, a stranger before one
    // that has ended a handshake before. First go those that have not said hello, then the oldest, so that half-open
    // connections do not keep anybody out. A stranger is turned away where only senders that are known could make room.
    std::size_t max_pending = 64;
    Callback<void(std::unique_ptr<TlsSocket>)> on_accept;
    Callback<void(const Endpoint& from, const Error& reason)> on_refused = {};
  };

  static Result<std::unique_ptr<TlsAcceptor>> open(Loop& loop, const Endpoint& local,
                                                   std::shared_ptr<const TlsContext> context, Options options);
  TlsAcceptor(const TlsAcceptor&) = delete;
  TlsAcceptor& operator=(const TlsAcceptor&) = delete;
  ~TlsAcceptor();

  const Endpoint& local() const;
  // For handshakes that begin from now on. `distrust`: whoever was accepted before may not be any more, so those under
  // way are given up.
  void set_context(std::shared_ptr<const TlsContext> context, bool distrust);

 private:
  TlsAcceptor() = default;
  struct Core;
  std::shared_ptr<Core> m_core;
};

}  // namespace quipu::net
