// SPDX-License-Identifier: Apache-2.0
// What is behind a TlsSocket, also while it is being connected or accepted. Inside src/net only.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>

#include "net/tls_session.h"
#include "net/tls_socket.h"

namespace quipu::net {

// What a broken connection means to those above.
Error tcp_error(const boost::system::error_code& ec);
boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint);
// Small messages go at once, and a peer that has gone is noticed.
void tune(boost::asio::ip::tcp::socket& socket);
void close(boost::asio::ip::tcp::socket& socket);

struct TlsSocket::Core : std::enable_shared_from_this<TlsSocket::Core> {
  Core(Loop& owner, boost::asio::ip::tcp::socket connection, std::shared_ptr<const TlsContext> tls);

  // `handler` is called from the loop, also when the socket is closed meanwhile.
  void shake_hands(TlsSession::Role role, Callback<void(Result<void>)> handler);
  void read();
  void write_ready(Result<void> ready);
  void say_goodbye();

  Loop& loop;
  std::shared_ptr<const TlsContext> context;
  boost::asio::ip::tcp::socket socket;
  TlsSession session;
  SecretBytes in;
  SecretBytes out;
  std::size_t written = 0;  // of `out`
  Callback<void(Result<void>)> on_handshake;
  Callback<void(Result<ByteView>)> on_read;
  Callback<void(Result<void>)> on_write;
  std::shared_ptr<const PeerIdentity> peer;
  Endpoint remote;
  std::unique_ptr<Timer> goodbye;
  bool closed = false;

 private:
  using Ready = void (Core::*)(Result<void>);
  // Nothing: the socket is waited for first.
  using Taken = std::optional<Result<std::size_t>>;

  void handshake_ready(Result<void> ready);
  void read_ready(Result<void> ready);
  void goodbye_ready(Result<void> ready);
  void drain();
  void end();
  Taken go_on(TlsSession::Step step, Ready again);
  void wait(TlsSession::Wants wants, Ready ready);
};

}  // namespace quipu::net
