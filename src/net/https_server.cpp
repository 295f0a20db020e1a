// SPDX-License-Identifier: Apache-2.0
#include "net/https_server.h"

#include <map>
#include <vector>

#include "net/fair_share.h"
#include "net/http_reader.h"
#include "net/http_writer.h"
#include "net/tls_socket.h"

namespace quipu::net {

struct Responder::Sink {
  virtual ~Sink() = default;
  virtual void answer(HttpResponse response) = 0;
  virtual void answer_error(unsigned status, std::string_view message) = 0;
  virtual bool awaits_answer() const = 0;
};

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  Responder old(std::move(*this));  // unanswered: answered now
  m_sink = std::exchange(other.m_sink, {});
  return *this;
}

Responder::~Responder() {
  if (const auto sink = m_sink.lock()) sink->answer_error(500, "this server has not answered the request");
}

void Responder::send(HttpResponse response) {
  if (const auto sink = std::exchange(m_sink, {}).lock()) sink->answer(std::move(response));
}

bool Responder::wanted() const {
  const auto sink = m_sink.lock();
  return sink != nullptr && sink->awaits_answer();
}

struct HttpsServer::Core : std::enable_shared_from_this<HttpsServer::Core> {
  class Connection;

  Core(Loop& owner, const HttpsServerLimits& chosen, Application served)
      : loop(owner), limits(chosen), application(std::move(served)), grace(owner, [this] { finish_stop(); }) {}

  bool make_room(const Connection& newcomer);
  void accept(std::unique_ptr<TlsSocket> socket);
  void remove(std::uint64_t id);
  void close_all();

  void refuse(const Endpoint& from, const Error& reason) {
    if (application.on_refused) application.on_refused(from, reason);
  }

  void finish_stop() {
    const auto keep = shared_from_this();
    grace.cancel();
    close_all();
    if (on_stopped) std::exchange(on_stopped, nullptr)();
  }

  Loop& loop;
  HttpsServerLimits limits;
  Application application;
  std::unique_ptr<TlsAcceptor> acceptor;
  Endpoint local;
  std::map<std::uint64_t, std::shared_ptr<Connection>> connections;
  std::uint64_t last_id = 0;
  bool stopping = false;
  Timer grace;
  Callback<void()> on_stopped;
};

// One client. Reads on while a request is being answered, to learn early that the client has gone.
class HttpsServer::Core::Connection final : public Responder::Sink,
                                            public std::enable_shared_from_this<HttpsServer::Core::Connection> {
 public:
  Connection(const std::shared_ptr<Core>& server, std::uint64_t id, std::unique_ptr<TlsSocket> socket)
      : m_server(server),
        m_id(id),
        m_socket(std::move(socket)),
        m_remote(m_socket->remote()),
        m_caller(server->application.caller_of(*m_socket->peer())),
        m_reader(HttpDirection::requests, server->limits.max_header, m_caller.empty() ? 0 : server->limits.max_body),
        m_deadline(server->loop, [this] { on_deadline(); }) {}

  const Endpoint& remote() const { return m_remote; }

  bool awaits_answer() const override { return m_state == State::handling; }

  bool busy() const { return m_state != State::reading || !m_reader.idle(); }

  HeldConnection held() const { return {m_id, m_caller, busy(), m_idle_since}; }

  void start() {
    m_idle_since = Loop::now();
    set_deadline(m_server->limits.idle_timeout);
    read();
  }

  // Closes without a word.
  void abandon() {
    m_state = State::closed;
    m_deadline.cancel();
    m_socket.reset();
  }

  void close() {
    const auto keep = shared_from_this();
    abandon();
    m_server->remove(m_id);
  }

  // No further request is taken.
  void end_soon() {
    m_keep_alive = false;
    if (!busy()) finish();
  }

  // Nor is the rest of one that has not come in full; what has, and has no answer yet, gets none from the handler.
  void distrust() {
    m_keep_alive = false;
    if (m_state == State::handling) return answer_error(503, "whom this server accepts has changed; connect again");
    if (m_state != State::reading) return;
    if (m_continuing) return close();  // one write at a time
    finish();
  }

  void answer(HttpResponse response) override {
    if (m_state != State::handling) return;
    const bool keep =
        m_keep_alive && !m_server->stopping && ++m_requests < m_server->limits.max_requests_per_connection;
    m_keep_alive = keep;
    write(write_response(response, keep, !m_head_only));
  }

  void answer_error(unsigned status, std::string_view message) override {
    if (m_state == State::handling) answer(m_server->application.error_response(status, message));
  }

 private:
  enum class State { reading, handling, writing, closed };

  void set_deadline(Duration timeout) { m_deadline.set(Loop::now() + timeout); }

  void read() {
    if (m_read_pending || m_state == State::closed) return;
    m_read_pending = true;
    m_socket->read([self = shared_from_this()](Result<ByteView> octets) {
      self->m_read_pending = false;
      if (self->m_state == State::closed) return;
      if (octets) return self->take(*octets);
      self->lost(octets.error());
    });
  }

  void lost(const Error& error) {
    m_keep_alive = false;
    // A goodbye during the work on a request may come from a client that still waits for its answer.
    if (error.code == Errc::closed && m_state != State::reading) return;
    if (!m_reader.idle() && m_state == State::reading) m_server->refuse(m_remote, error);
    close();
  }

  void take(ByteView octets) {
    // Requests are not pipelined: what comes before the answer ends the connection after it.
    if (m_state != State::reading) {
      m_keep_alive = false;
      return;
    }
    if (m_reader.idle()) set_deadline(m_server->limits.request_timeout);
    auto message = m_reader.feed(octets);
    if (!message && m_caller.empty() && m_reader.body_too_large()) return handle({});
    if (!message) return refuse(message.error());
    if (*message) return handle(std::move(**message));
    if (m_reader.take_expect_continue()) return send_continue();
    read();
  }

  void handle(HttpMessage message) {
    m_state = State::handling;
    m_deadline.cancel();
    m_keep_alive = m_keep_alive && message.keep_alive && m_reader.idle();
    m_head_only = message.method == "HEAD";
    read();
    HttpRequest request{std::move(message.method), std::move(message.target), std::move(message.content_type),
                        std::move(message.body),   m_socket->peer(),          m_remote};
    m_server->application.on_request(std::move(request), Responder(std::weak_ptr<Responder::Sink>(shared_from_this())));
  }

  void send_continue() {
    m_continuing = true;
    m_socket->write(SecretBytes::copy_of(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")),
                    [self = shared_from_this()](Result<void> written) {
                      self->m_continuing = false;
                      if (self->m_state == State::closed) return;
                      if (!written) return self->close();
                      self->read();
                    });
  }

  void refuse(const Error& error) {
    unsigned status = 400;
    if (error.code == Errc::too_large && !m_reader.body_too_large()) status = 431;
    if (error.code == Errc::timeout) status = 408;
    const auto keep = shared_from_this();
    m_server->refuse(m_remote, error);
    if (m_state == State::closed) return;
    m_keep_alive = false;
    write(write_response(m_server->application.error_response(status, error.text), false, true));
  }

  void write(SecretBytes octets) {
    m_state = State::writing;
    set_deadline(m_server->limits.write_timeout);
    m_socket->write(std::move(octets), [self = shared_from_this()](Result<void> written) {
      if (self->m_state == State::closed) return;
      if (!written) return self->close();
      self->written();
    });
  }

  void written() {
    if (!m_keep_alive || m_server->stopping) return finish();
    m_state = State::reading;
    m_idle_since = Loop::now();
    set_deadline(m_server->limits.idle_timeout);
    read();
  }

  void on_deadline() {
    if (m_state != State::reading || m_reader.idle() || m_continuing) return close();  // one write at a time
    refuse({Errc::timeout, "an HTTP request did not arrive in time"});
  }

  void finish() {
    auto socket = std::move(m_socket);
    close();
    TlsSocket::finish(std::move(socket));
  }

  std::shared_ptr<Core> m_server;  // the server takes leave of us before it goes
  std::uint64_t m_id;
  std::unique_ptr<TlsSocket> m_socket;
  Endpoint m_remote;
  std::string m_caller;
  HttpReader m_reader;
  Timer m_deadline;
  TimePoint m_idle_since;
  State m_state = State::reading;
  bool m_read_pending = false;
  bool m_continuing = false;  // "100 Continue" is being written
  bool m_keep_alive = true;
  bool m_head_only = false;
  std::size_t m_requests = 0;
};

// False when the newcomer has to go.
bool HttpsServer::Core::make_room(const Connection& newcomer) {
  if (connections.size() < limits.max_connections) return true;
  std::vector<HeldConnection> held;
  held.reserve(connections.size());
  for (const auto& [id, one] : connections)
    held.push_back(one->held());
  const auto place = gives_way_to(newcomer.held().caller, held);
  if (!place) return false;
  const auto given_up = connections.at(*place);
  const bool was_busy = given_up->busy();
  given_up->close();
  if (was_busy) refuse(given_up->remote(), {Errc::exhausted, "given up for another caller: too many connections"});
  return true;
}

void HttpsServer::Core::accept(std::unique_ptr<TlsSocket> socket) {
  const auto keep = shared_from_this();
  const std::uint64_t id = ++last_id;
  const auto connection = std::make_shared<Connection>(keep, id, std::move(socket));
  if (!make_room(*connection)) return refuse(connection->remote(), {Errc::exhausted, "too many connections"});
  if (acceptor == nullptr) return;  // closed meanwhile, by whoever was told
  connections.emplace(id, connection);
  connection->start();
}

void HttpsServer::Core::remove(std::uint64_t id) {
  connections.erase(id);
  if (stopping && connections.empty() && on_stopped) finish_stop();
}

void HttpsServer::Core::close_all() {
  acceptor.reset();
  for (const auto& [id, connection] : std::exchange(connections, {}))
    connection->abandon();
}

Result<std::unique_ptr<HttpsServer>> HttpsServer::open(Loop& loop, const Endpoint& local,
                                                       std::shared_ptr<const TlsContext> context,
                                                       const HttpsServerLimits& limits, Application application) {
  std::unique_ptr<HttpsServer> out(new HttpsServer);
  out->m_core = std::make_shared<Core>(loop, limits, std::move(application));
  Core* core = out->m_core.get();
  TlsAcceptor::Options options;
  options.handshake_timeout = limits.handshake_timeout;
  // Each callback keeps the server's core alive while it runs: it may be the one in which the server is destroyed.
  options.on_accept = [core = std::weak_ptr(out->m_core)](std::unique_ptr<TlsSocket> socket) {
    core.lock()->accept(std::move(socket));
  };
  options.on_refused = [core = std::weak_ptr(out->m_core)](const Endpoint& from, const Error& reason) {
    core.lock()->refuse(from, reason);
  };
  QUIPU_TRY_ASSIGN(core->acceptor, TlsAcceptor::open(loop, local, std::move(context), std::move(options)));
  core->local = core->acceptor->local();
  return out;
}

HttpsServer::~HttpsServer() {
  if (m_core == nullptr) return;
  m_core->on_stopped = nullptr;
  m_core->close_all();
}

Endpoint HttpsServer::local() const {
  return m_core->local;
}

void HttpsServer::set_context(std::shared_ptr<const TlsContext> context, bool distrust) {
  if (m_core->acceptor != nullptr) m_core->acceptor->set_context(std::move(context), distrust);
  if (!distrust) return;
  const auto connections = m_core->connections;  // each leaves the list as it ends
  for (const auto& [id, connection] : connections)
    connection->distrust();
}

void HttpsServer::stop(Duration grace, Callback<void()> done) {
  m_core->stopping = true;
  m_core->on_stopped = std::move(done);
  m_core->acceptor.reset();
  m_core->grace.set(Loop::now() + (m_core->connections.empty() ? Duration::zero() : grace));
  const auto all = m_core->connections;
  for (const auto& [id, connection] : all)
    connection->end_soon();
}

std::size_t HttpsServer::connections() const {
  return m_core->connections.size();
}

}  // namespace quipu::net
