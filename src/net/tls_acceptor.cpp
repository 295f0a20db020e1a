// SPDX-License-Identifier: Apache-2.0
// Whoever connects (tls_socket.h).
#include <netinet/in.h>

#include <boost/asio/ip/v6_only.hpp>
#include <map>
#include <tuple>
#include <vector>

#include "net/half_open.h"
#include "net/sockaddr.h"
#include "net/tls_socket_core.h"

namespace quipu::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

// An address that comes later than the daemon (DHCP, a bridge, VRRP) is listened on all the same.
void permit_absent_address(tcp::acceptor& acceptor) {
  const int on = 1;
  ::setsockopt(acceptor.native_handle(), IPPROTO_IP, IP_FREEBIND, &on, sizeof on);  // of either family
}

Endpoint from_asio(const tcp::endpoint& endpoint) {
  return from_sockaddr(endpoint.data(), static_cast<socklen_t>(endpoint.size())).value_or(Endpoint{});
}

}  // namespace

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
    if (ec) return;  // the socket closes
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
