// SPDX-License-Identifier: Apache-2.0
#include "net/https_client.h"

#include <algorithm>
#include <deque>
#include <list>

#include "net/http_reader.h"
#include "net/http_writer.h"
#include "net/tls_socket.h"

namespace quipu::net {
namespace {

constexpr std::string_view kScheme = "https://";

// Nothing in the head may end a line.
bool is_sound(const HttpRequest& request) {
  const auto sound = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  };
  return !request.method.empty() && request.target.starts_with('/') && sound(request.method) && sound(request.target) &&
         sound(request.content_type);
}

// Only time can help against the others.
bool needs_other_settings(Errc code) {
  return code == Errc::authentication || code == Errc::not_permitted || code == Errc::unsupported;
}

HttpFailure failure(Error error, bool maybe_processed) {
  const bool retryable = !needs_other_settings(error.code);
  return {std::move(error), maybe_processed, retryable};
}

}  // namespace

struct HttpsClient::Core : std::enable_shared_from_this<HttpsClient::Core> {
  class Connection;

  // A request from send() to its answer.
  struct Exchange {
    SecretBytes octets;
    Handler handler;
    std::unique_ptr<Timer> deadline;
    Connection* connection = nullptr;  // while it is on its way
    bool done = false;
  };

  // Attempts to connect, each made because a request waits, and all with the present context.
  using Attempts = std::list<std::unique_ptr<TlsConnect>>;

  Core(Loop& owner, HttpsClientOptions chosen) : loop(owner), options(std::move(chosen)) {}

  void add(HttpRequest request, Duration timeout, Handler handler);
  void pump();
  void connect();
  void connected(Attempts::iterator attempt, Result<std::unique_ptr<TlsSocket>> result);
  void timed_out(const std::shared_ptr<Exchange>& exchange);
  void end(const std::shared_ptr<Exchange>& exchange, std::expected<HttpResponse, HttpFailure> answer);
  void end_later(const std::shared_ptr<Exchange>& exchange, HttpFailure why);
  void remove(Connection* connection);
  void close_idle();
  void break_off_all();
  void close_all();

  Loop& loop;
  HttpsClientOptions options;
  std::shared_ptr<const TlsContext> context;
  Callback<void(const PeerIdentity&, const TlsAgreement&)> on_connected;
  std::deque<std::shared_ptr<Exchange>> waiting;
  Attempts attempts;
  std::list<std::shared_ptr<Connection>> connections;
  bool closed = false;
};

// One connection to the server. It always reads: when nothing is asked, to learn that the server has closed it.
class HttpsClient::Core::Connection : public std::enable_shared_from_this<HttpsClient::Core::Connection> {
 public:
  Connection(const std::shared_ptr<Core>& client, std::shared_ptr<const TlsContext> context,
             std::unique_ptr<TlsSocket> socket)
      : m_client(client),
        m_context(std::move(context)),
        m_socket(std::move(socket)),
        m_reader(HttpDirection::responses, client->options.max_header, client->options.max_body),
        m_idle(client->loop, [this] { finish(); }) {}

  bool is_idle() const { return m_exchange == nullptr; }

  // Made with a context that has been replaced since.
  bool is_outdated() const { return m_context != m_client->context; }

  void start() {
    if (m_client->on_connected) m_client->on_connected(*m_socket->peer(), m_socket->agreement());
    rest();
    read();
  }

  void carry(std::shared_ptr<Exchange> exchange) {
    m_idle.cancel();
    m_exchange = std::move(exchange);
    m_exchange->connection = this;
    // A write that fails is not the last word: the reason may still be read, and reading ends the connection.
    m_socket->write(std::move(m_exchange->octets), [](Result<void>) {});
  }

  // Says goodbye; nothing is on its way.
  void finish() {
    const auto keep = shared_from_this();
    auto socket = std::move(m_socket);
    abandon();
    m_client->remove(this);
    TlsSocket::finish(std::move(socket));
  }

  void abandon() {
    m_idle.cancel();
    m_socket.reset();
    m_exchange.reset();
  }

  // Closes without a word; what was on its way is to be ended by the caller.
  std::shared_ptr<Exchange> give_up() {
    auto exchange = m_exchange;
    exchange->connection = nullptr;
    close();
    return exchange;
  }

 private:
  void rest() { m_idle.set(Loop::now() + m_client->options.idle_timeout); }

  void read() {
    m_socket->read([self = shared_from_this()](Result<ByteView> octets) {
      if (self->m_socket == nullptr) return;
      if (octets) return self->take(*octets);
      self->lost(std::move(octets).error());
    });
  }

  void take(ByteView octets) {
    if (m_exchange == nullptr) return close();  // an answer to nothing
    auto message = m_reader.feed(octets);
    if (!message) return break_off(std::move(message).error());
    if (!*message) return read();
    answer(std::move(**message));
  }

  void lost(Error error) {
    if (m_exchange == nullptr) return close();
    if (error.code == Errc::closed) {
      auto message = m_reader.end();
      if (message && *message) {
        (*message)->keep_alive = false;
        return answer(std::move(**message));
      }
    }
    break_off(std::move(error));
  }

  void answer(HttpMessage message) {
    const auto keep = shared_from_this();
    const auto client = m_client;
    const auto exchange = std::exchange(m_exchange, nullptr);
    if (message.keep_alive && m_reader.idle() && !is_outdated()) {
      rest();
      read();
    } else {
      finish();
    }
    client->end(exchange, HttpResponse{message.status, std::move(message.content_type), std::move(message.body)});
  }

  // A refusal of our certificate comes as an alert, before the server has read a word of the request (TLS 1.3).
  void break_off(Error error) {
    const auto client = m_client;
    const auto exchange = m_exchange;
    const bool refused = error.code == Errc::authentication && m_reader.idle();
    close();
    client->end(exchange, std::unexpected(failure(std::move(error), !refused)));
  }

  void close() {
    const auto keep = shared_from_this();
    abandon();
    m_client->remove(this);
  }

  std::shared_ptr<Core> m_client;
  std::shared_ptr<const TlsContext> m_context;
  std::unique_ptr<TlsSocket> m_socket;
  HttpReader m_reader;
  Timer m_idle;
  std::shared_ptr<Exchange> m_exchange;
};

void HttpsClient::Core::add(HttpRequest request, Duration timeout, Handler handler) {
  const auto exchange = std::make_shared<Exchange>();
  exchange->handler = std::move(handler);
  if (!is_sound(request)) return end_later(exchange, {{Errc::malformed, "HTTP request"}, false, false});
  if (waiting.size() >= options.max_waiting)
    return end_later(exchange, {{Errc::busy, options.server.text() + ": too many requests wait"}, false, true});
  exchange->octets = write_request(request, options.server);
  exchange->deadline =
      std::make_unique<Timer>(loop, [this, weak = std::weak_ptr(exchange)] { timed_out(weak.lock()); });
  exchange->deadline->set(Loop::now() + timeout);
  waiting.push_back(exchange);
  pump();
}

// Gives the oldest requests to connections without one, and has new ones made as long as there may be more.
void HttpsClient::Core::pump() {
  while (!waiting.empty() && !closed) {
    const auto idle = std::ranges::find_if(connections, [](const auto& one) { return one->is_idle(); });
    if (idle == connections.end()) break;
    const auto exchange = std::move(waiting.front());
    waiting.pop_front();
    (*idle)->carry(exchange);
  }
  while (attempts.size() < waiting.size() && attempts.size() + connections.size() < options.max_connections)
    connect();
}

void HttpsClient::Core::connect() {
  const auto attempt = attempts.emplace(attempts.end());
  *attempt = std::make_unique<TlsConnect>(
      loop, context, options.server, options.expected_id, options.connect_timeout,
      [this, attempt](Result<std::unique_ptr<TlsSocket>> result) { connected(attempt, std::move(result)); });
}

void HttpsClient::Core::connected(Attempts::iterator attempt, Result<std::unique_ptr<TlsSocket>> result) {
  const auto keep = shared_from_this();
  const std::unique_ptr<TlsConnect> over = std::move(*attempt);
  attempts.erase(attempt);
  if (result) {
    connections.push_back(std::make_shared<Connection>(keep, context, std::move(*result)));
    connections.back()->start();
  } else if (!waiting.empty()) {
    const auto exchange = std::move(waiting.front());
    waiting.pop_front();
    end(exchange, std::unexpected(failure(std::move(result).error(), false)));
  }
  if (!closed) pump();
}

void HttpsClient::Core::timed_out(const std::shared_ptr<Exchange>& exchange) {
  const Error error{Errc::timeout, options.server.text() + ": no answer in time"};
  const bool sent = exchange->connection != nullptr;
  if (sent) {
    const auto connection = exchange->connection->shared_from_this();
    connection->abandon();
    remove(connection.get());
  } else {
    std::erase(waiting, exchange);
  }
  end(exchange, std::unexpected(failure(error, sent)));
}

void HttpsClient::Core::end(const std::shared_ptr<Exchange>& exchange,
                            std::expected<HttpResponse, HttpFailure> answer) {
  if (closed || exchange->done) return;
  const auto keep = shared_from_this();
  exchange->done = true;
  exchange->connection = nullptr;
  exchange->deadline.reset();
  exchange->handler(std::move(answer));
  if (!closed) pump();
}

void HttpsClient::Core::end_later(const std::shared_ptr<Exchange>& exchange, HttpFailure why) {
  loop.post([core = weak_from_this(), exchange, answer = std::move(why)]() mutable {
    if (const auto self = core.lock()) self->end(exchange, std::unexpected(std::move(answer)));
  });
}

void HttpsClient::Core::remove(Connection* connection) {
  std::erase_if(connections, [connection](const auto& one) { return one.get() == connection; });
}

void HttpsClient::Core::close_idle() {
  const auto all = connections;
  for (const auto& connection : all) {
    if (connection->is_idle()) connection->finish();
  }
}

void HttpsClient::Core::break_off_all() {
  const auto all = connections;
  for (const auto& connection : all) {
    const auto exchange = connection->give_up();
    end_later(exchange, failure({Errc::closed, options.server.text() +
                                                   ": other authorities or revocations are configured now, so the "
                                                   "connection was ended"},
                                true));
  }
}

void HttpsClient::Core::close_all() {
  closed = true;
  attempts.clear();
  for (const auto& exchange : std::exchange(waiting, {}))
    exchange->deadline.reset();
  for (const auto& connection : std::exchange(connections, {}))
    connection->abandon();
}

HttpsClient::HttpsClient(Loop& loop, HttpsClientOptions options, std::shared_ptr<const TlsContext> context)
    : m_core(std::make_shared<Core>(loop, std::move(options))) {
  m_core->context = std::move(context);
}

HttpsClient::~HttpsClient() {
  m_core->close_all();
}

void HttpsClient::send(HttpRequest request, Duration timeout, Handler handler) {
  m_core->add(std::move(request), timeout, std::move(handler));
}

void HttpsClient::on_connected(Callback<void(const PeerIdentity& server, const TlsAgreement& agreement)> handler) {
  m_core->on_connected = std::move(handler);
}

void HttpsClient::set_context(std::shared_ptr<const TlsContext> context, bool distrust) {
  m_core->context = std::move(context);
  m_core->attempts.clear();
  m_core->close_idle();
  if (distrust) m_core->break_off_all();
  m_core->pump();
}

Result<HttpsUrl> HttpsUrl::parse(std::string_view text) {
  if (!text.starts_with(kScheme)) return fail(Errc::malformed, "not an https:// URL");
  text.remove_prefix(kScheme.size());
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string authority(text.substr(0, slash));
  std::string_view path = text.substr(slash);
  const auto is_path_octet = [](char c) { return c > ' ' && c <= '~' && c != '?' && c != '#'; };
  if (!std::ranges::all_of(path, is_path_octet))
    return fail(Errc::malformed, "a base URL has no query and no fragment");
  while (path.ends_with('/'))
    path.remove_suffix(1);
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon == std::string::npos) authority += ":443";
  auto server = HostPort::parse(authority);
  if (!server) return std::unexpected(std::move(server).error());
  return HttpsUrl{std::move(*server), std::string(path)};
}

}  // namespace quipu::net
