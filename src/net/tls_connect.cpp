// SPDX-License-Identifier: Apache-2.0
// One attempt to connect (tls_socket.h).
#include <vector>

#include "net/tls_socket_core.h"

namespace quipu::net {

using boost::asio::ip::tcp;
using boost::system::error_code;

struct TlsConnect::Core : std::enable_shared_from_this<TlsConnect::Core> {
  Core(Loop& owner, std::shared_ptr<const TlsContext> tls, HostPort target, std::string id)
      : loop(owner), context(std::move(tls)), to(std::move(target)), expected_id(std::move(id)), resolver(owner) {}

  void start(Duration timeout) {
    deadline = std::make_unique<Timer>(loop, [this] { end(fail(Errc::timeout, describe("no answer in time"))); });
    deadline->set(Loop::now() + timeout);
    resolver.resolve(to, timeout, [this](Result<std::vector<Endpoint>> found) {
      if (done) return;
      if (!found)
        return end(std::unexpected(
            Error{found.error().code == Errc::timeout ? Errc::timeout : Errc::unavailable, found.error().text}));
      addresses = std::move(*found);
      try_next({Errc::unavailable, describe("no address")});
    });
  }

  std::string describe(const std::string& what) const { return to.text() + ": " + what; }

  void try_next(Error last) {
    if (next == addresses.size()) return end(std::unexpected(std::move(last)));
    const Endpoint remote = addresses[next++];
    attempt = std::make_shared<TlsSocket::Core>(loop, tcp::socket(loop.context()), context);
    attempt->remote = remote;
    attempt->socket.async_connect(to_asio(remote), [self = shared_from_this(), socket = attempt](error_code ec) {
      if (self->done || socket != self->attempt) return;
      if (ec) return self->try_next({Errc::unavailable, self->describe(system_error("TCP", ec.value()).text)});
      self->shake_hands();
    });
  }

  void shake_hands() {
    tune(attempt->socket);
    if (expected_id.empty()) {
      if (auto set = attempt->session.expect_host(to.host); !set) return end(std::unexpected(std::move(set).error()));
    }
    attempt->shake_hands(TlsSession::Role::client, [self = shared_from_this()](Result<void> shaken) {
      if (self->done) return;
      if (!shaken) return self->end(fail_at(self->to.text(), std::move(shaken).error()));
      self->check_identity();
    });
  }

  void check_identity() {
    auto identity = attempt->session.peer();
    if (!identity) return end(fail_at(to.text(), std::move(identity).error()));
    if (!expected_id.empty() && !identity->is(expected_id))
      return end(fail(Errc::not_permitted, describe("the peer's certificate does not say " + expected_id)));
    attempt->peer = std::make_shared<const PeerIdentity>(std::move(*identity));
    end(std::make_unique<TlsSocket>(std::move(attempt)));
  }

  void end(Result<std::unique_ptr<TlsSocket>> result) {
    const auto keep = shared_from_this();
    abandon();
    handler(std::move(result));
  }

  void abandon() {
    done = true;
    deadline.reset();
    if (attempt != nullptr) close(attempt->socket);
    attempt.reset();
  }

  Loop& loop;
  std::shared_ptr<const TlsContext> context;
  HostPort to;
  std::string expected_id;
  Handler handler;
  Resolver resolver;
  std::vector<Endpoint> addresses;
  std::size_t next = 0;
  std::shared_ptr<TlsSocket::Core> attempt;
  std::unique_ptr<Timer> deadline;
  bool done = false;
};

TlsConnect::TlsConnect(Loop& loop, std::shared_ptr<const TlsContext> context, HostPort to, std::string expected_id,
                       Duration timeout, Handler handler)
    : m_core(std::make_shared<Core>(loop, std::move(context), std::move(to), std::move(expected_id))) {
  m_core->handler = std::move(handler);
  m_core->start(timeout);
}

TlsConnect::~TlsConnect() {
  m_core->abandon();
}

}  // namespace quipu::net
