// SPDX-License-Identifier: Apache-2.0
// One TLS session at a socket that does not block: each step goes as far as the socket lets it, and tells what it waits
// for. Waiting is tls_socket.cpp's.
#pragma once

#include <string>
#include <variant>

#include "base/bytes.h"
#include "net/tls.h"

namespace quipu::net {

class TlsSession {
 public:
  enum class Role : std::uint8_t { client, server };
  // What the socket has to be ready for before the same step is taken again.
  enum class Wants : std::uint8_t { read, write };
  // How many octets were read or written: at least one.
  using Step = std::variant<std::size_t, Wants, Error>;

  explicit TlsSession(const TlsContext& context);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  // The socket stays the caller's, who takes no step once it is closed. Once, before the first step.
  void attach(int socket, Role role);
  // Checks made during the handshake: the certificate is for this host name or IP address (RFC 6125), which a name is
  // also announced as (SNI).
  Result<void> expect_host(const std::string& host);

  // Errc::authentication about certificates, Errc::not_permitted for another host, Errc::unsupported without a version,
  // group or cipher suite in common, Errc::malformed what is no TLS, Errc::io a connection that broke. 0 when done.
  Step handshake();
  // Errc::closed: the peer said goodbye.
  Step read(MutableBytes room);
  // The same octets again after Wants.
  Step write(ByteView octets);
  // Says goodbye, and does not wait for the peer's. 0 when done.
  Step say_goodbye();

  // Octets have come that the socket does not tell any more.
  bool has_pending() const;
  // A server's session: the client's first message has come in full.
  bool has_hello() const;

  // After the handshake. Errc::authentication when there is no certificate.
  Result<PeerIdentity> peer() const;
  // After the handshake.
  TlsAgreement agreement() const;

 private:
  Step halted(int result) const;

  int m_socket = -1;
  ssl_st* m_native;
};

}  // namespace quipu::net
