// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/unique_fd.h"

namespace quipu::bench {

struct TlsFiles {
  std::string ca;
  std::string cert;
  std::string key;
};

class TlsConfig {
 public:
  static Result<TlsConfig> load(const TlsFiles& files);

  SSL_CTX* get() const { return m_context.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };

  std::unique_ptr<SSL_CTX, Free> m_context;
};

// A connection over mutual TLS 1.3: one write for each request, one read for each answer that comes in one piece.
class TlsClient {
 public:
  // Waits until it stands; from then on nothing waits.
  static Result<TlsClient> connect(const TlsConfig& config, const Endpoint& to);

  int fd() const { return m_socket.get(); }

  // All of it or Errc::io: a request fits into every socket's buffer.
  Result<void> send(std::string_view request);
  // Reads what has come. What has been received and not been dropped yet.
  Result<ByteView> receive();

  void drop_received() { m_size = 0; }

 private:
  struct Free {
    void operator()(SSL* session) const { SSL_free(session); }
  };

  UniqueFd m_socket;
  std::unique_ptr<SSL, Free> m_session;
  SecretBytes m_received;
  std::size_t m_size = 0;
};

}  // namespace quipu::bench
