// SPDX-License-Identifier: Apache-2.0
#include "net/http_writer.h"

namespace quipu::net {
namespace {

SecretBytes joined(std::string_view head, ByteView body) {
  SecretBytes out(head.size() + body.size());
  ByteWriter writer(out.mutable_view());
  writer.bytes(as_bytes(head)).bytes(body);
  return out;
}

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "";
  }
}

}  // namespace

SecretBytes write_request(const HttpRequest& request, const HostPort& server) {
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + server.text();
  head += "\r\nAccept: application/json";
  if (!request.body.empty() || request.method == "POST")
    head += "\r\nContent-Type: " + (request.content_type.empty() ? "application/json" : request.content_type) +
            "\r\nContent-Length: " + std::to_string(request.body.size());
  head += "\r\n\r\n";
  return joined(head, request.body.view());
}

SecretBytes write_response(const HttpResponse& response, bool keep_alive, bool with_body) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " + std::string(reason_phrase(response.status));
  if (!response.body.empty()) head += "\r\nContent-Type: " + response.content_type;
  head += "\r\nContent-Length: " + std::to_string(response.body.size());
  head += "\r\nCache-Control: no-store";
  if (response.status == 405) head += "\r\nAllow: GET, POST";
  if (!keep_alive) head += "\r\nConnection: close";
  head += "\r\n\r\n";
  return joined(head, with_body ? response.body.view() : ByteView());
}

}  // namespace quipu::net
