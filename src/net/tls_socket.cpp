// SPDX-License-Identifier: Apache-2.0
#include "net/tls_socket.h"

#include <boost/asio/post.hpp>
#include <tuple>

#include "base/assert.h"
#include "net/sockaddr.h"
#include "net/tls_socket_core.h"

namespace quipu::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadSize = std::size_t{16} * 1024;  // a TLS record
constexpr Duration kGoodbyeTime = std::chrono::seconds(2);

}  // namespace

Error tcp_error(const error_code& ec) {
  if (ec == asio::error::eof) return {Errc::closed, "the peer closed the connection"};
  return system_error("TCP", ec.value());
}

tcp::endpoint to_asio(const Endpoint& endpoint) {
  const SocketAddress address = to_sockaddr(endpoint);
  tcp::endpoint out;
  out.resize(address.size);
  std::memcpy(out.data(), address.get(), address.size);
  return out;
}

void tune(tcp::socket& socket) {
  error_code ignored;
  std::ignore = socket.set_option(tcp::no_delay(true), ignored);
  std::ignore = socket.set_option(asio::socket_base::keep_alive(true), ignored);
}

void close(tcp::socket& socket) {
  error_code ignored;
  std::ignore = socket.close(ignored);
}

TlsSocket::Core::Core(Loop& owner, tcp::socket connection, std::shared_ptr<const TlsContext> tls)
    : loop(owner), context(std::move(tls)), socket(std::move(connection)), session(*context), in(kReadSize) {}

void TlsSocket::Core::shake_hands(TlsSession::Role role, Callback<void(Result<void>)> handler) {
  error_code ignored;
  std::ignore = socket.non_blocking(true, ignored);
  session.attach(socket.native_handle(), role);
  on_handshake = std::move(handler);
  wait(role == TlsSession::Role::client ? TlsSession::Wants::write : TlsSession::Wants::read, &Core::handshake_ready);
}

void TlsSocket::Core::handshake_ready(Result<void> ready) {
  if (ready) {
    const Taken taken = go_on(session.handshake(), &Core::handshake_ready);
    if (!taken) return;
    if (!*taken) ready = std::unexpected(taken->error());
  }
  std::exchange(on_handshake, nullptr)(std::move(ready));
}

void TlsSocket::Core::read() {
  if (!session.has_pending()) return wait(TlsSession::Wants::read, &Core::read_ready);
  asio::post(socket.get_executor(), [self = shared_from_this()] { self->read_ready({}); });
}

void TlsSocket::Core::read_ready(Result<void> ready) {
  if (closed) return;
  if (!ready) return std::exchange(on_read, nullptr)(std::unexpected(std::move(ready).error()));
  const Taken count = go_on(session.read(in.mutable_view()), &Core::read_ready);
  if (!count) return;
  auto handler = std::exchange(on_read, nullptr);
  if (!*count) return handler(std::unexpected(count->error()));
  handler(in.view().first(**count));
}

// As much as the socket takes now.
void TlsSocket::Core::write_ready(Result<void> ready) {
  if (closed) return;
  while (ready && written < out.size()) {
    const Taken count = go_on(session.write(out.view().subspan(written)), &Core::write_ready);
    if (!count) return;
    written += count->value_or(0);
    if (!*count) ready = std::unexpected(count->error());
  }
  asio::post(socket.get_executor(), [self = shared_from_this(), result = std::move(ready)]() mutable {
    if (self->closed) return;
    self->out.clear();
    std::exchange(self->on_write, nullptr)(std::move(result));
  });
}

void TlsSocket::Core::goodbye_ready(Result<void> ready) {
  if (ready && !go_on(session.say_goodbye(), &Core::goodbye_ready)) return;
  error_code ignored;
  std::ignore = socket.shutdown(tcp::socket::shutdown_send, ignored);
  if (socket.is_open()) drain();
}

// Until the peer has closed as well: octets that nobody reads would have the kernel reset the connection.
void TlsSocket::Core::drain() {
  socket.async_read_some(asio::buffer(in.mutable_view().data(), in.size()),
                         [self = shared_from_this()](error_code ec, std::size_t) {
                           if (ec) return self->end();
                           self->drain();
                         });
}

void TlsSocket::Core::say_goodbye() {
  // The operations keep us alive until then, and are dropped with the loop.
  goodbye = std::make_unique<Timer>(loop, [this] { end(); });
  goodbye->set(Loop::now() + kGoodbyeTime);
  goodbye_ready({});
}

void TlsSocket::Core::end() {
  close(socket);
  goodbye->cancel();
}

TlsSocket::Core::Taken TlsSocket::Core::go_on(TlsSession::Step step, Ready again) {
  if (const auto* const count = std::get_if<std::size_t>(&step)) return *count;
  if (auto* const error = std::get_if<Error>(&step)) return std::unexpected(std::move(*error));
  wait(std::get<TlsSession::Wants>(step), again);
  return std::nullopt;
}

void TlsSocket::Core::wait(TlsSession::Wants wants, Ready ready) {
  const auto event = wants == TlsSession::Wants::read ? tcp::socket::wait_read : tcp::socket::wait_write;
  socket.async_wait(event, [self = shared_from_this(), ready](error_code ec) {
    if (!ec && !self->socket.is_open()) ec = asio::error::operation_aborted;
    (self.get()->*ready)(ec ? Result<void>(std::unexpected(tcp_error(ec))) : Result<void>());
  });
}

TlsSocket::TlsSocket(std::shared_ptr<Core> core) : m_core(std::move(core)) {}

TlsSocket::~TlsSocket() {
  if (m_core == nullptr) return;
  m_core->closed = true;
  close(m_core->socket);
}

void TlsSocket::read(Callback<void(Result<ByteView>)> handler) {
  m_core->on_read = std::move(handler);
  m_core->read();
}

void TlsSocket::write(SecretBytes octets, Callback<void(Result<void>)> handler) {
  QUIPU_ASSERT(m_core->on_write == nullptr);
  m_core->out = std::move(octets);
  m_core->written = 0;
  m_core->on_write = std::move(handler);
  m_core->write_ready({});
}

void TlsSocket::finish(std::unique_ptr<TlsSocket> socket) {
  const std::shared_ptr<Core> core = std::move(socket->m_core);
  core->closed = true;  // no callback any more
  core->say_goodbye();
}

const std::shared_ptr<const PeerIdentity>& TlsSocket::peer() const {
  return m_core->peer;
}

const Endpoint& TlsSocket::remote() const {
  return m_core->remote;
}

TlsAgreement TlsSocket::agreement() const {
  return m_core->session.agreement();
}

}  // namespace quipu::net
