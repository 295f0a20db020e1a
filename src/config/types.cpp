// SPDX-License-Identifier: Apache-2.0
#include "config/types.h"

#include <fmt/format.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

namespace quipu::config {
namespace {

constexpr std::size_t kMaxHostSize = 253;

// RFC 1123, section 2.1: letters, digits and inner hyphens, labels of 1 to 63; a final dot is not taken.
bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostSize) return false;
  std::size_t label = 0;
  char before = '.';
  for (const char c : host) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == '.' ? label == 0 || before == '-' : !letter && (c != '-' || label == 0)) return false;
    label = c == '.' ? 0 : label + 1;
    if (label > 63) return false;
    before = c;
  }
  // A name whose last label is a number is a mistyped address.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  return label != 0 && before != '-' && last.find_first_not_of("0123456789") != std::string_view::npos;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// The file is somebody else's text: on a terminal its control characters would be commands, and a line feed would feign
// a second problem.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    out += octet >= 0x20 && octet < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", octet);
  }
  return out;
}

}  // namespace

std::string Problem::text(std::string_view file_name) const {
  std::string out;
  if (position.line != 0) out += fmt::format(":{}:{}", position.line, position.column);
  out += ": ";
  if (!key.empty()) out += fmt::format("{}: ", key);
  out += problem;
  if (!advice.empty()) out += fmt::format("; {}", advice);
  return std::string(file_name) + printable(out);
}

Error to_error(std::string_view file_name, const std::vector<Problem>& problems) {
  Error error{Errc::malformed, {}};
  for (const Problem& problem : problems) {
    if (!error.text.empty()) error.text += '\n';
    error.text += problem.text(file_name);
  }
  return error;
}

std::optional<Problem> doubt_about(const TlsFiles& files, bool ca_holds_an_authority, bool ca_issued_cert) {
  if (!ca_holds_an_authority)
    return Problem{.position = files.ca.position,
                   .key = files.ca.key,
                   .problem = fmt::format("no certificate in {} is an authority's", files.ca.name),
                   .advice = "name the ca.pem of the authority (quipu pki ca), not a certificate that it issued"};
  if (!ca_issued_cert)
    return Problem{.position = files.cert.position,
                   .key = files.cert.key,
                   .problem = fmt::format("{} is not issued by the authority in {}", files.cert.name, files.ca.name),
                   .advice =
                       "that is right only if the other end has certificates of another authority than ours; "
                       "else have one issued (quipu pki issue), or name the authority that issued this one"};
  return std::nullopt;
}

std::optional<HostPort> HostPort::parse(std::string_view text) {
  if (const auto literal = Endpoint::parse(text)) {
    if (literal->port == 0) return std::nullopt;
    return HostPort{literal->address.text(), literal->port, literal};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  if (!port || !is_host_name(host)) return std::nullopt;
  return HostPort{std::string(host), *port, std::nullopt};
}

std::string HostPort::text() const {
  return literal ? literal->text() : fmt::format("{}:{}", host, port);
}

std::optional<HttpsUrl> HttpsUrl::parse(std::string_view text) {
  const auto url = boost::urls::parse_uri({text.data(), text.size()});
  if (!url || url->scheme() != "https" || url->has_userinfo() || url->has_query() || url->has_fragment())
    return std::nullopt;
  const std::string host(url->encoded_host());
  if (url->has_port() && url->port().empty()) return std::nullopt;
  auto server = HostPort::parse(host + ":" + (url->has_port() ? std::string(url->port()) : "443"));
  if (!server) return std::nullopt;
  std::string path(url->encoded_path());
  while (path.ends_with('/'))
    path.pop_back();
  return HttpsUrl{*std::move(server), std::move(path)};
}

std::string HttpsUrl::text() const {
  return fmt::format("https://{}{}", server.text(), path);
}

}  // namespace quipu::config
