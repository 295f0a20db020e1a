// SPDX-License-Identifier: Apache-2.0
#include "bench/tls_client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace quipu::bench {
namespace {

constexpr std::size_t kRoom = std::size_t{64} * 1024;

std::unexpected<Error> tls_failure(const std::string& what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  return fail(Errc::io, what + ": " + text.data());
}

Result<UniqueFd> connect_socket(const Endpoint& to) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(to.port);
  std::memcpy(&address.sin_addr, to.address.octets.data(), sizeof address.sin_addr);
  const int on = 1;
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
    return fail_system(to.text());
  return socket;
}

}  // namespace

Result<TlsConfig> TlsConfig::load(const TlsFiles& files) {
  TlsConfig out;
  out.m_context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = out.m_context.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_load_verify_file(context, files.ca.c_str()) != 1 ||
      SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return tls_failure(files.cert);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_read_ahead(context, 1);
  return out;
}

Result<TlsClient> TlsClient::connect(const TlsConfig& config, const Endpoint& to) {
  TlsClient out;
  QUIPU_TRY_ASSIGN(out.m_socket, connect_socket(to));
  out.m_received = SecretBytes(kRoom);
  out.m_session.reset(SSL_new(config.get()));
  SSL* const session = out.m_session.get();
  if (session == nullptr || SSL_set_fd(session, out.fd()) != 1 || SSL_connect(session) != 1)
    return tls_failure(to.text());
  if (::fcntl(out.fd(), F_SETFL, O_NONBLOCK) != 0) return fail_system(to.text());
  return out;
}

Result<void> TlsClient::send(std::string_view request) {
  if (SSL_write(m_session.get(), request.data(), static_cast<int>(request.size())) == static_cast<int>(request.size()))
    return {};
  return tls_failure("sending a request");
}

Result<ByteView> TlsClient::receive() {
  const MutableBytes room = m_received.mutable_view().subspan(m_size);
  const int read = SSL_read(m_session.get(), room.data(), static_cast<int>(room.size()));
  if (read > 0)
    m_size += static_cast<std::size_t>(read);
  else if (SSL_get_error(m_session.get(), read) != SSL_ERROR_WANT_READ)
    return tls_failure("the KMS closed the connection");
  return m_received.view().first(m_size);
}

}  // namespace quipu::bench
