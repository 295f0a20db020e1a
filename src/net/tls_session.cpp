// SPDX-License-Identifier: Apache-2.0
#include "net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/assert.h"
#include "base/freed_by.h"
#include "base/ip.h"
#include "net/tls_native.h"

namespace quipu::net {
namespace {

using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;

// OpenSSL's own BIO of a socket would have the kernel raise SIGPIPE when the peer has gone.
int socket_of(BIO* bio) {
  return *static_cast<const int*>(BIO_get_data(bio));
}

int moved(BIO* bio, ssize_t count, int retry) {
  BIO_clear_retry_flags(bio);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
  return static_cast<int>(count);
}

int send_octets(BIO* bio, const char* octets, int size) {
  return moved(bio, ::send(socket_of(bio), octets, static_cast<std::size_t>(size), MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

int receive_octets(BIO* bio, char* room, int size) {
  const ssize_t count = ::recv(socket_of(bio), room, static_cast<std::size_t>(size), 0);
  if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return moved(bio, count, BIO_FLAGS_READ);
}

long control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    QUIPU_ASSERT(method != nullptr && BIO_meth_set_write(method, send_octets) == 1 &&
                 BIO_meth_set_read(method, receive_octets) == 1 && BIO_meth_set_ctrl(method, control) == 1);
    return method;
  }();
  return kMethod;
}

bool is_alert_about_certificate(int reason) {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

bool is_lack_of_common_ground(int reason) {
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS: return true;
    default: return false;
  }
}

// What a failed handshake or broken connection means. `code` as ERR_get_error() gives it.
Error tls_error(const SSL* session, unsigned long code) {
  const int reason = ERR_GET_REASON(code);
  if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) return {Errc::io, "the connection broke off"};
  const char* words = ERR_reason_error_string(code);
  const std::string text = words != nullptr ? words : "error " + std::to_string(code);
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return {Errc::authentication, "the peer sent no certificate"};
  if (is_alert_about_certificate(reason)) return {Errc::authentication, "the peer refused our certificate: " + text};
  if (const long verified = SSL_get_verify_result(session); verified != X509_V_OK) {
    const bool other_name = verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH;
    return {other_name ? Errc::not_permitted : Errc::authentication,
            std::string("the peer's certificate: ") + X509_verify_cert_error_string(verified)};
  }
  if (is_lack_of_common_ground(reason))
    return {Errc::unsupported, "no TLS version, group or cipher suite in common: " + text};
  return {Errc::malformed, "TLS: " + text};
}

}  // namespace

TlsSession::TlsSession(const TlsContext& context) : m_native(context.new_session()) {
  QUIPU_ASSERT(m_native != nullptr);
  SSL_set_mode(m_native, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_set_read_ahead(m_native, 1);  // a record's head and body by one call of the kernel
}

TlsSession::~TlsSession() {
  SSL_free(m_native);
}

void TlsSession::attach(int socket, Role role) {
  BIO* const bio = BIO_new(socket_method());
  QUIPU_ASSERT(bio != nullptr);
  m_socket = socket;
  BIO_set_data(bio, &m_socket);
  BIO_set_init(bio, 1);
  SSL_set_bio(m_native, bio, bio);
  role == Role::client ? SSL_set_connect_state(m_native) : SSL_set_accept_state(m_native);
}

Result<void> TlsSession::expect_host(const std::string& host) {
  if (IpAddress::parse(host)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(m_native), host.c_str()) == 1) return {};
  } else if (SSL_set1_host(m_native, host.c_str()) == 1 &&
             SSL_ctrl(m_native, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                      const_cast<char*>(host.c_str())) == 1) {
    return {};
  }
  return fail(Errc::malformed, host + ": not a host name");
}

TlsSession::Step TlsSession::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(m_native);
  if (result == 1) return std::size_t{0};
  return halted(result);
}

TlsSession::Step TlsSession::read(MutableBytes room) {
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_read_ex(m_native, room.data(), room.size(), &count);
  if (result == 1) return count;
  return halted(result);
}

TlsSession::Step TlsSession::write(ByteView octets) {
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_write_ex(m_native, octets.data(), octets.size(), &count);
  if (result == 1) return count;
  return halted(result);
}

TlsSession::Step TlsSession::say_goodbye() {
  ERR_clear_error();
  const int result = SSL_shutdown(m_native);
  if (result >= 0) return std::size_t{0};
  return halted(result);
}

// Right after the call that it judges: errno is looked at.
TlsSession::Step TlsSession::halted(int result) const {
  const int number = errno;
  switch (SSL_get_error(m_native, result)) {
    case SSL_ERROR_WANT_READ: return Wants::read;
    case SSL_ERROR_WANT_WRITE: return Wants::write;
    case SSL_ERROR_ZERO_RETURN: return Error{Errc::closed, "the peer closed the connection"};
    case SSL_ERROR_SYSCALL: return system_error("TCP", number);
    default: return tls_error(m_native, ERR_get_error());
  }
}

bool TlsSession::has_pending() const {
  return SSL_has_pending(m_native) == 1;
}

bool TlsSession::has_hello() const {
  // OpenSSL keeps zeros here until it has parsed a ClientHello.
  std::array<unsigned char, SSL3_RANDOM_SIZE> random{};
  const std::size_t size = SSL_get_client_random(m_native, random.data(), random.size());
  return size == random.size() && std::ranges::any_of(random, [](unsigned char octet) { return octet != 0; });
}

Result<PeerIdentity> TlsSession::peer() const {
  const Certificate certificate(SSL_get1_peer_certificate(m_native));
  if (certificate == nullptr) return fail(Errc::authentication, "the peer sent no certificate");
  return identity_of(certificate.get());
}

TlsAgreement TlsSession::agreement() const {
  const char* const group = SSL_get0_group_name(m_native);
  return {.version = SSL_get_version(m_native),
          .group = group != nullptr ? group : "",
          .cipher_suite = SSL_get_cipher_name(m_native)};
}

}  // namespace quipu::net
