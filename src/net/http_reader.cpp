// SPDX-License-Identifier: Apache-2.0
#include "net/http_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/vector_body.hpp>
#include <variant>

namespace quipu::net {

namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

// Bodies of responses may be keys: locked memory, wiped. Those of requests name keys at the most, and strangers must
// not be able to use up locked memory by them.
using RequestParser = http::request_parser<http::vector_body<std::uint8_t>>;
using ResponseParser = http::response_parser<http::vector_body<std::uint8_t, WipingAllocator<std::uint8_t>>>;

template <class Message>
HttpMessage common_parts(Message& message) {
  HttpMessage out;
  const auto type = message[http::field::content_type];
  out.content_type.assign(type.data(), type.size());
  out.body = SecretBytes::copy_of(message.body());
  out.keep_alive = message.keep_alive();
  return out;
}

HttpMessage convert(RequestParser& parser) {
  HttpMessage out = common_parts(parser.get());
  const auto method = parser.get().method_string();
  out.method.assign(method.data(), method.size());
  const auto target = parser.get().target();
  out.target.assign(target.data(), target.size());
  return out;
}

HttpMessage convert(ResponseParser& parser) {
  HttpMessage out = common_parts(parser.get());
  out.status = parser.get().result_int();
  return out;
}

bool is_interim(const RequestParser&) {
  return false;
}

bool is_interim(const ResponseParser& parser) {
  return parser.get().result_int() / 100 == 1;
}

}  // namespace

struct HttpReader::Core {
  HttpDirection direction;
  std::size_t max_header;
  std::size_t max_body;
  std::variant<std::monostate, RequestParser, ResponseParser> parser;
  SecretBytes held;  // octets that the parser has not consumed
  bool failed = false;
  bool body_too_large = false;

  void restart() {
    if (direction == HttpDirection::requests) {
      configure(parser.emplace<RequestParser>());
    } else {
      configure(parser.emplace<ResponseParser>());
    }
  }

  template <class Parser>
  void configure(Parser& fresh) const {
    fresh.header_limit(static_cast<std::uint32_t>(max_header));
    fresh.body_limit(max_body);
    fresh.eager(true);
  }

  template <class Visitor>
  auto with_parser(Visitor visitor) {
    return direction == HttpDirection::requests ? visitor(std::get<RequestParser>(parser))
                                                : visitor(std::get<ResponseParser>(parser));
  }

  // Beast asserts that a chunked body's last chunk, once begun, comes with five octets at least. No chunked body can
  // end with fewer, so nothing is lost by waiting for them.
  bool has_enough(ByteView octets) {
    const bool chunked = with_parser([](const auto& one) { return one.is_header_done() && one.chunked(); });
    return octets.size() >= (chunked ? std::size_t{5} : std::size_t{1});
  }

  SecretBytes held_and(ByteView octets) const {
    SecretBytes joined(held.size() + octets.size());
    ByteWriter(joined.mutable_view()).bytes(held.view()).bytes(octets);
    return joined;
  }

  static bool is_about_body(const error_code& ec) {
    return ec == http::error::body_limit || ec == http::error::buffer_overflow;
  }

  Error error_of(const error_code& ec) const {
    const auto larger_than = [](std::size_t octets) { return " larger than " + std::to_string(octets) + " octets"; };
    if (ec == http::error::header_limit) return {Errc::too_large, "HTTP head" + larger_than(max_header)};
    if (is_about_body(ec)) return {Errc::too_large, "HTTP body" + larger_than(max_body)};
    if (ec == http::error::partial_message || ec == http::error::end_of_stream)
      return {Errc::closed, "the connection ended within an HTTP message"};
    return {Errc::malformed, "not HTTP/1.1: " + ec.message()};
  }

  // Takes what it uses off the front of `octets`.
  template <class Parser>
  Result<std::optional<HttpMessage>> parse(Parser& current, ByteView& octets) {
    error_code ec;
    octets = octets.subspan(current.put(boost::asio::const_buffer(octets.data(), octets.size()), ec));
    if (ec == http::error::need_more) ec = {};
    body_too_large = is_about_body(ec);
    if (ec) return std::unexpected(error_of(ec));
    if (!current.is_done()) return std::optional<HttpMessage>();
    std::optional<HttpMessage> out;
    if (!is_interim(current)) out = convert(current);
    restart();
    return out;
  }

  // Up to the end of a message, or for as long as the parser uses something.
  Result<std::optional<HttpMessage>> parse_all(ByteView& octets) {
    while (has_enough(octets)) {
      const std::size_t before = octets.size();
      auto result = with_parser([&](auto& one) { return parse(one, octets); });
      if (!result || *result || octets.size() == before) return result;
    }
    return std::optional<HttpMessage>();
  }
};

HttpReader::HttpReader(HttpDirection direction, std::size_t max_header, std::size_t max_body)
    : m_core(std::make_unique<Core>()) {
  m_core->direction = direction;
  m_core->max_header = max_header;
  m_core->max_body = max_body;
  m_core->restart();
}

HttpReader::~HttpReader() = default;

Result<std::optional<HttpMessage>> HttpReader::feed(ByteView octets) {
  if (m_core->failed) return fail(Errc::malformed, "HTTP after an error");
  // Most often nothing is held, and what has come is one whole message.
  const SecretBytes joined = m_core->held.empty() ? SecretBytes() : m_core->held_and(octets);
  ByteView rest = joined.empty() ? octets : joined.view();
  auto result = m_core->parse_all(rest);
  m_core->failed = !result.has_value();
  m_core->held = SecretBytes::copy_of(rest);
  return result;
}

Result<std::optional<HttpMessage>> HttpReader::end() {
  if (m_core->failed) return fail(Errc::malformed, "HTTP after an error");
  if (idle()) return std::optional<HttpMessage>();
  if (!m_core->with_parser([](const auto& parser) { return parser.got_some(); }))
    return fail(Errc::closed, "the connection ended within an HTTP message");
  error_code ec;
  m_core->with_parser([&ec](auto& parser) { parser.put_eof(ec); });
  m_core->failed = true;
  if (ec) return std::unexpected(m_core->error_of(ec));
  return m_core->with_parser([](auto& parser) { return std::optional(convert(parser)); });
}

bool HttpReader::idle() const {
  return m_core->held.empty() && m_core->with_parser([](const auto& parser) { return !parser.got_some(); });
}

bool HttpReader::body_too_large() const {
  return m_core->body_too_large;
}

bool HttpReader::take_expect_continue() {
  auto* parser = std::get_if<RequestParser>(&m_core->parser);
  if (parser == nullptr || !parser->is_header_done() || parser->is_done()) return false;
  const auto found = parser->get().find(http::field::expect);
  if (found == parser->get().end()) return false;
  const bool wanted = boost::beast::iequals(found->value(), "100-continue");
  parser->get().erase(found);
  return wanted;
}

}  // namespace quipu::net
