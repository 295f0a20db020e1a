// SPDX-License-Identifier: Apache-2.0
// Parses the HTTP/1.1 messages of one direction of a connection, without any I/O.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace quipu::net {

struct HttpMessage {
  std::string method;   // of a request
  std::string target;   // of a request
  unsigned status = 0;  // of a response
  std::string content_type;
  SecretBytes body;
  bool keep_alive = false;
};

enum class HttpDirection { requests, responses };

class HttpReader {
 public:
  HttpReader(HttpDirection direction, std::size_t max_header, std::size_t max_body);
  HttpReader(const HttpReader&) = delete;
  HttpReader& operator=(const HttpReader&) = delete;
  ~HttpReader();

  // Takes the octets in, and returns a message once it is complete. Octets beyond it stay for the next call (which may
  // bring none). Errc::too_large: the head or body is larger than permitted; which one is told by body_too_large().
  // Errc::malformed: no HTTP. After an error the reader is of no use any more. Interim (1xx) responses are skipped.
  Result<std::optional<HttpMessage>> feed(ByteView octets);
  // The other end closed: completes a response whose end is the end of the connection.
  Result<std::optional<HttpMessage>> end();

  // Nothing of a next message has arrived.
  bool idle() const;
  // What an Errc::too_large was about.
  bool body_too_large() const;
  // True once per request that waits for "100 Continue" before it sends its body.
  bool take_expect_continue();

 private:
  struct Core;
  std::unique_ptr<Core> m_core;
};

}  // namespace quipu::net
