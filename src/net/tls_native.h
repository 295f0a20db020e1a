// SPDX-License-Identifier: Apache-2.0
// What tls.cpp does with OpenSSL's objects for tls_socket.cpp.
#pragma once

#include "net/tls.h"

namespace quipu::net {

// Checks made during the handshake: the certificate is for this host name or IP address (RFC 6125), which a name is
// also announced as (SNI).
Result<void> expect_host(ssl_st* session, const std::string& host);

// After the handshake. Errc::authentication when there is no certificate.
Result<PeerIdentity> peer_identity(ssl_st* session);

// After the handshake.
TlsAgreement agreement_of(const ssl_st* session);

// A server's session: the client's first message has come in full.
bool has_hello(const ssl_st* session);

// Before the handshake. Asio has a session give back its buffers whenever they are empty, to make and wipe 34 KiB anew
// for each message.
void keep_buffers(ssl_st* session);

// What a failed handshake or broken connection means. `code` as ERR_get_error() gives it.
Error tls_error(const ssl_st* session, unsigned long code);

}  // namespace quipu::net
