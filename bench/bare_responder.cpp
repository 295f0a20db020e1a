// SPDX-License-Identifier: Apache-2.0
// quipu-bench-bare: a KMS without a KMS. It answers every request with the same key, by Beast over Asio's TLS in one
// thread: what is left of the time is what HTTP, TLS, the kernel and the client cost on this machine (scripts/bench
// kms). Prints the port that it has at 127.0.0.1 and serves until it is killed. Usage: quipu-bench-bare CA CERTIFICATE
// KEY
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <iostream>
#include <string_view>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// As long as an answer of quipu-kmsd with one key of 256 bit.
constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 113\r\nCache-Control: no-store\r\n\r\n"
    R"({"keys":[{"key_ID":"00000000-0000-4000-8000-000000000000","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]})";
static_assert(kAnswer.size() - kAnswer.find('{') == 113);

asio::awaitable<void> serve(tcp::socket socket, asio::ssl::context& tls) {
  asio::ssl::stream<tcp::socket> stream(std::move(socket), tls);
  const auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (refused) co_return;
  boost::beast::flat_buffer received;
  while (true) {
    http::request<http::empty_body> request;
    if (const auto [end, size] = co_await http::async_read(stream, received, request, kAwait); end) co_return;
    if (const auto [end, size] = co_await asio::async_write(stream, asio::buffer(kAnswer), kAwait); end) co_return;
  }
}

asio::awaitable<void> accept(tcp::acceptor acceptor, asio::ssl::context& tls) {
  while (true) {
    auto [failed, socket] = co_await acceptor.async_accept(kAwait);
    if (failed) continue;
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), tls), asio::detached);
  }
}

void run(const char* ca, const char* certificate, const char* key) {
  asio::ssl::context tls(asio::ssl::context::tlsv13_server);
  tls.load_verify_file(ca);
  tls.use_certificate_chain_file(certificate);
  tls.use_private_key_file(key, asio::ssl::context::pem);
  tls.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  asio::io_context loop(1);
  tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
  std::cout << acceptor.local_endpoint().port() << std::endl;
  asio::co_spawn(loop, accept(std::move(acceptor), tls), asio::detached);
  loop.run();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "Usage: quipu-bench-bare CA CERTIFICATE KEY\n";
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << "quipu-bench-bare: " << error.what() << '\n';
  }
  return 1;
}
