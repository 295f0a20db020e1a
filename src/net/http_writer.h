// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages as octets: head and body in one piece of locked memory.
#pragma once

#include "net/http.h"
#include "net/resolver.h"

namespace quipu::net {

// Its method, target and content type hold no blank and nothing that ends a line.
SecretBytes write_request(const HttpRequest& request, const HostPort& server);
// `with_body` false: the answer to HEAD, with the length of the body and without it.
SecretBytes write_response(const HttpResponse& response, bool keep_alive, bool with_body);

}  // namespace quipu::net
