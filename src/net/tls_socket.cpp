// SPDX-License-Identifier: Apache-2.0
#include "net/tls_socket.h"

#include <netinet/in.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <tuple>
#include <vector>

#include "base/assert.h"
#include "net/half_open.h"
#include "net/sockaddr.h"
#include "net/tls_session.h"

namespace quipu::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadSize = std::size_t{16} * 1024;  // a TLS record
constexpr Duration kGoodbyeTime = std::chrono::seconds(2);
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

tcp::endpoint to_asio(const Endpoint& endpoint) {
  const SocketAddress address = to_sockaddr(endpoint);
  tcp::endpoint out;
  out.resize(address.size);
  std::memcpy(out.data(), address.get(), address.size);
  return out;
}

// An address that comes later than the daemon (DHCP, a bridge, VRRP) is listened on all the same.
void permit_absent_address(tcp::acceptor& acceptor) {
  const int on = 1;
  ::setsockopt(acceptor.native_handle(), IPPROTO_IP, IP_FREEBIND, &on, sizeof on);  // of either family
}

Endpoint from_asio(const tcp::endpoint& endpoint) {
  return from_sockaddr(endpoint.data(), static_cast<socklen_t>(endpoint.size())).value_or(Endpoint{});
}

// What a broken connection means to those above.
Error tcp_error(const error_code& ec) {
  if (ec == asio::error::eof) return {Errc::closed, "the peer closed the connection"};
  return system_error("TCP", ec.value());
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

}  // namespace

struct TlsSocket::Core : std::enable_shared_from_this<TlsSocket::Core> {
  Core(Loop& owner, tcp::socket connection, std::shared_ptr<const TlsContext> tls)
      : loop(owner), context(std::move(tls)), socket(std::move(connection)), session(*context) {}

  // `handler` is called from the loop, also when the socket is closed meanwhile.
  void shake_hands(TlsSession::Role role, Callback<void(Result<void>)> handler) {
    error_code ignored;
    std::ignore = socket.non_blocking(true, ignored);
    session.attach(socket.native_handle(), role);
    on_handshake = std::move(handler);
    wait(role == TlsSession::Role::client ? TlsSession::Wants::write : TlsSession::Wants::read, &Core::handshake_ready);
  }

  void handshake_ready(Result<void> ready) {
    if (ready) {
      const Taken taken = go_on(session.handshake(), &Core::handshake_ready);
      if (!taken) return;
      if (!*taken) ready = std::unexpected(taken->error());
    }
    std::exchange(on_handshake, nullptr)(std::move(ready));
  }

  void read() {
    if (!session.has_pending()) return wait(TlsSession::Wants::read, &Core::read_ready);
    asio::post(socket.get_executor(), [self = shared_from_this()] { self->read_ready({}); });
  }

  void read_ready(Result<void> ready) {
    if (closed) return;
    if (!ready) return std::exchange(on_read, nullptr)(std::unexpected(std::move(ready).error()));
    const Taken count = go_on(session.read(in.mutable_view()), &Core::read_ready);
    if (!count) return;
    auto handler = std::exchange(on_read, nullptr);
    if (!*count) return handler(std::unexpected(count->error()));
    handler(in.view().first(**count));
  }

  // As much as the socket takes now.
  void write_ready(Result<void> ready) {
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

  void goodbye_ready(Result<void> ready) {
    if (ready && !go_on(session.say_goodbye(), &Core::goodbye_ready)) return;
    error_code ignored;
    std::ignore = socket.shutdown(tcp::socket::shutdown_send, ignored);
    if (socket.is_open()) drain();
  }

  // Until the peer has closed as well: octets that nobody reads would have the kernel reset the connection.
  void drain() {
    socket.async_read_some(asio::buffer(in.mutable_view().data(), in.size()),
                           [self = shared_from_this()](error_code ec, std::size_t) {
                             if (ec) return self->end();
                             self->drain();
                           });
  }

  void say_goodbye() {
    // The operations keep us alive until then, and are dropped with the loop.
    goodbye = std::make_unique<Timer>(loop, [this] { end(); });
    goodbye->set(Loop::now() + kGoodbyeTime);
    goodbye_ready({});
  }

  void end() {
    close(socket);
    goodbye->cancel();
  }

  using Ready = void (Core::*)(Result<void>);
  // Nothing: the socket is waited for first.
  using Taken = std::optional<Result<std::size_t>>;

  Taken go_on(TlsSession::Step step, Ready again) {
    if (const auto* const count = std::get_if<std::size_t>(&step)) return *count;
    if (auto* const error = std::get_if<Error>(&step)) return std::unexpected(std::move(*error));
    wait(std::get<TlsSession::Wants>(step), again);
    return std::nullopt;
  }

  void wait(TlsSession::Wants wants, Ready ready) {
    const auto event = wants == TlsSession::Wants::read ? tcp::socket::wait_read : tcp::socket::wait_write;
    socket.async_wait(event, [self = shared_from_this(), ready](error_code ec) {
      if (!ec && !self->socket.is_open()) ec = asio::error::operation_aborted;
      (self.get()->*ready)(ec ? Result<void>(std::unexpected(tcp_error(ec))) : Result<void>());
    });
  }

  Loop& loop;
  std::shared_ptr<const TlsContext> context;
  tcp::socket socket;
  TlsSession session;
  SecretBytes in{kReadSize};
  SecretBytes out;
  std::size_t written = 0;  // of `out`
  Callback<void(Result<void>)> on_handshake;
  Callback<void(Result<ByteView>)> on_read;
  Callback<void(Result<void>)> on_write;
  std::shared_ptr<const PeerIdentity> peer;
  Endpoint remote;
  std::unique_ptr<Timer> goodbye;
  bool closed = false;
};

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

struct TlsAcceptor::Core : std::enable_shared_from_this<TlsAcceptor::Core> {
  // A connection whose handshake has not ended.
  struct Pending {
    Endpoint from;
    tcp::socket silent;                         // until its first octets have come
    std::shared_ptr<TlsSocket::Core> speaks{};  // from then on
    std::unique_ptr<Timer> deadline{};
    TimePoint since = Loop::now();

    tcp::socket& socket() { return speaks == nullptr ? silent : speaks->socket; }

    bool said_hello() const { return speaks != nullptr && speaks->session.has_hello(); }
  };

  Core(Loop& owner, Options chosen)
      : loop(owner),
        options(std::move(chosen)),
        budget(options.senders),
        acceptor(owner.context()),
        pause(owner, [this] { accept(); }) {}

  Result<void> listen(const Endpoint& at) {
    error_code ec;
    const tcp::endpoint endpoint = to_asio(at);
    const std::string where = "listening on " + at.text();
    ec = acceptor.open(endpoint.protocol(), ec);
    if (!ec) ec = acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && endpoint.protocol() == tcp::v6()) ec = acceptor.set_option(asio::ip::v6_only(true), ec);
    if (!ec) permit_absent_address(acceptor);
    if (!ec) ec = acceptor.bind(endpoint, ec);
    if (!ec) ec = acceptor.listen(tcp::acceptor::max_listen_connections, ec);
    if (ec) return fail_system(where, ec.value());
    local = from_asio(acceptor.local_endpoint(ec));
    return {};
  }

  void accept() {
    acceptor.async_accept([self = shared_from_this()](error_code ec, tcp::socket socket) {
      if (self->closed) return;
      if (ec) return self->pause.set(Loop::now() + kAcceptPause);  // no descriptors left, most likely
      self->begin(std::move(socket));
      if (!self->closed) self->accept();
    });
  }

  // False when nobody has to give way to this newcomer.
  bool make_room(const IpAddress& newcomer) {
    std::vector<HalfOpenConnection> held;
    held.reserve(pending.size());
    for (const auto& [id, one] : pending)
      held.push_back({id, one.from.address, budget.is_known(one.from.address), one.said_hello()});
    const Room room = room_for(newcomer, budget.is_known(newcomer), held, options.max_pending);
    if (room.gives_way)
      refuse(*room.gives_way, {Errc::exhausted, "given up for a newer one: too many TLS handshakes at once"});
    return room.is_there;
  }

  // Resets the connection, which costs us nothing that lasts.
  void turn_away(tcp::socket& socket, const Endpoint& from) {
    error_code ignored;
    std::ignore = socket.set_option(asio::socket_base::linger(true, 0), ignored);
    std::ignore = socket.close(ignored);
    if (options.on_refused) options.on_refused(from, {Errc::exhausted, "too many TLS handshakes at once"});
  }

  void begin(tcp::socket socket) {
    error_code ec;
    const Endpoint from = from_asio(socket.remote_endpoint(ec));
    if (ec || (options.admit && !options.admit(from))) return;  // the socket closes
    const auto keep = shared_from_this();
    if (!make_room(from.address)) return turn_away(socket, from);
    if (closed) return;
    tune(socket);
    const std::uint64_t id = ++last_id;
    Pending& one = pending.emplace(id, Pending{.from = from, .silent = std::move(socket)}).first->second;
    one.deadline = std::make_unique<Timer>(loop, [this, id] { overdue(id); });
    one.deadline->set(one.since + std::min(options.hello_timeout, options.handshake_timeout));
    one.silent.async_wait(tcp::socket::wait_read,
                          [self = shared_from_this(), id](error_code error) { self->spoken_to(id, error); });
  }

  // The first octets have come, or the end of the connection. Only now, and within its budget, a TLS session is made.
  void spoken_to(std::uint64_t id, error_code ec) {
    const auto found = pending.find(id);
    if (closed || found == pending.end()) return;
    Pending& one = found->second;
    if (!ec && one.silent.available(ec) == 0 && !ec) ec = asio::error::eof;
    if (ec) return refuse(id, tcp_error(ec));
    if (!budget.take(one.from.address, Loop::now()))
      return refuse(id, {Errc::exhausted, "too many TLS handshakes of one sender"});
    one.speaks = std::make_shared<TlsSocket::Core>(loop, std::move(one.silent), context);
    one.speaks->remote = one.from;
    one.speaks->shake_hands(TlsSession::Role::server, [self = shared_from_this(), id](Result<void> shaken) {
      self->shaken(id, std::move(shaken));
    });
  }

  void overdue(std::uint64_t id) {
    const Pending& one = pending.at(id);
    const TimePoint end = one.since + options.handshake_timeout;
    if (Loop::now() < end && one.said_hello()) return one.deadline->set(end);
    refuse(id, {Errc::timeout, "no TLS handshake in time"});
  }

  void shaken(std::uint64_t id, Result<void> result) {
    const auto found = pending.find(id);
    if (closed || found == pending.end()) return;
    const std::shared_ptr<TlsSocket::Core> socket = found->second.speaks;
    if (!result) return refuse(id, result.error());
    auto identity = socket->session.peer();
    if (!identity) return refuse(id, std::move(identity).error());
    budget.know(found->second.from.address, Loop::now());
    pending.erase(found);
    socket->peer = std::make_shared<const PeerIdentity>(std::move(*identity));
    options.on_accept(std::make_unique<TlsSocket>(socket));
  }

  // Those that have begun: their verdict would be that of the context they began under.
  void give_up_handshakes() {
    const auto keep = shared_from_this();
    std::vector<std::uint64_t> begun;
    for (const auto& [id, one] : pending)
      if (one.speaks != nullptr) begun.push_back(id);
    for (const std::uint64_t id : begun)
      if (pending.contains(id)) refuse(id, {Errc::closed, "whom we accept has changed meanwhile"});
  }

  void refuse(std::uint64_t id, const Error& reason) {
    const auto keep = shared_from_this();
    const auto found = pending.find(id);
    Pending one = std::move(found->second);
    pending.erase(found);
    close(one.socket());
    if (options.on_refused) options.on_refused(one.from, reason);
  }

  void end() {
    closed = true;
    error_code ignored;
    std::ignore = acceptor.close(ignored);
    for (auto& [id, one] : pending)
      close(one.socket());
    pending.clear();
    pause.cancel();
  }

  Loop& loop;
  Options options;
  HandshakeBudget budget;
  std::shared_ptr<const TlsContext> context;
  tcp::acceptor acceptor;
  Timer pause;
  Endpoint local;
  std::map<std::uint64_t, Pending> pending;
  std::uint64_t last_id = 0;
  bool closed = false;
};

Result<std::unique_ptr<TlsAcceptor>> TlsAcceptor::open(Loop& loop, const Endpoint& local,
                                                       std::shared_ptr<const TlsContext> context, Options options) {
  std::unique_ptr<TlsAcceptor> out(new TlsAcceptor);
  out->m_core = std::make_shared<Core>(loop, std::move(options));
  out->m_core->context = std::move(context);
  QUIPU_TRY(out->m_core->listen(local));
  out->m_core->accept();
  return out;
}

TlsAcceptor::~TlsAcceptor() {
  if (m_core != nullptr) m_core->end();
}

const Endpoint& TlsAcceptor::local() const {
  return m_core->local;
}

void TlsAcceptor::set_context(std::shared_ptr<const TlsContext> context, bool distrust) {
  m_core->context = std::move(context);
  if (distrust) m_core->give_up_handshakes();
}

}  // namespace quipu::net
