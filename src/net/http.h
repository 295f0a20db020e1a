// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages as both roles see them. Bodies may hold keys and live in locked memory; heads never do.
#pragma once

#include <memory>
#include <string>

#include "base/ip.h"
#include "base/secret.h"
#include "net/tls.h"

namespace quipu::net {

struct HttpRequest {
  std::string method = {};  // "GET", "POST", or whatever else was asked
  std::string target = {};  // path and query, as they stand in the request line
  std::string content_type = {};
  SecretBytes body = {};
  std::shared_ptr<const PeerIdentity> peer = {};  // server: who asks
  Endpoint remote = {};                           // server: from where
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  SecretBytes body = {};
};

}  // namespace quipu::net
