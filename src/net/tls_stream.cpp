// SPDX-License-Identifier: Apache-2.0
#include "net/tls_stream.h"

#include <deque>

#include "net/frame.h"
#include "net/tls_socket.h"

namespace quipu::net {
namespace {

constexpr std::size_t kWriteSize = std::size_t{64} * 1024;  // small messages are sent together up to this

}  // namespace

struct TlsStream::Core : std::enable_shared_from_this<TlsStream::Core> {
  Core(Loop& loop, std::unique_ptr<TlsSocket> established, const TlsStreamLimits& chosen)
      : limits(chosen),
        socket(std::move(established)),
        peer(socket->peer()),
        remote(socket->remote()),
        reader(chosen.max_message),
        idle(loop, [this] { fail_with({Errc::timeout, "nothing received for too long"}); }),
        stalled(loop, [this] { write_stalled(); }),
        soon(loop, [this] { write(); }) {}

  void read() {
    socket->read([self = shared_from_this()](Result<ByteView> octets) {
      if (!octets) return self->fail_with(std::move(octets).error());
      if (!self->open) return;
      self->idle.set(Loop::now() + self->limits.idle_timeout);
      Callback<bool(ByteView)> deliver = [core = self.get()](ByteView message) {
        core->handlers.on_message(message);
        return core->open;
      };
      if (auto fed = self->reader.feed(*octets, deliver); !fed) return self->fail_with(std::move(fed).error());
      if (self->open) self->read();
    });
  }

  void write() {
    if (writing || queue.empty()) return;
    SecretBytes together = take();
    const std::size_t size = together.size();
    writing = true;
    stalled.set(Loop::now() + limits.write_timeout);
    socket->write(std::move(together), [self = shared_from_this(), size](Result<void> written) {
      self->writing = false;
      self->queued -= size;
      self->stalled.cancel();
      if (!written) return self->fail_with(std::move(written).error());
      self->write();
      if (self->closing && !self->writing) self->finish();
      if (self->open && self->handlers.on_sent) self->handlers.on_sent();
    });
  }

  // The oldest messages, as many as fit into one write, at least one.
  SecretBytes take() {
    std::size_t size = 0;
    std::size_t count = 0;
    while (count < queue.size() && (count == 0 || size + queue[count].size() <= kWriteSize))
      size += queue[count++].size();
    SecretBytes out(size);
    ByteWriter writer(out.mutable_view());
    for (; count > 0; --count) {
      writer.bytes(queue.front().view());
      queue.pop_front();
    }
    return out;
  }

  void write_stalled() {
    if (closing) return abandon();
    fail_with({Errc::timeout, "the peer does not take what is sent"});
  }

  void fail_with(Error reason) {
    if (closing) return abandon();
    if (!open) return;
    const auto keep = shared_from_this();
    abandon();
    handlers.on_closed(std::move(reason));
  }

  void finish() {
    TlsSocket::finish(std::move(socket));
    abandon();
  }

  void abandon() {
    const auto keep = shared_from_this();
    open = false;
    closing = false;
    idle.cancel();
    stalled.cancel();
    socket.reset();
    queue.clear();
  }

  TlsStreamLimits limits;
  std::unique_ptr<TlsSocket> socket;
  std::shared_ptr<const PeerIdentity> peer;
  Endpoint remote;
  FrameReader reader;
  Handlers handlers;
  Timer idle;
  Timer stalled;
  Deferred soon;  // so that what is sent in one turn goes out together
  std::deque<SecretBytes> queue;
  std::size_t queued = 0;  // octets in the queue and in the write under way
  bool open = true;
  bool writing = false;
  bool closing = false;  // the owner has closed, the queue is being sent
};

TlsStream::TlsStream(Loop& loop, std::unique_ptr<TlsSocket> socket, const TlsStreamLimits& limits)
    : m_core(std::make_shared<Core>(loop, std::move(socket), limits)) {}

TlsStream::~TlsStream() {
  if (m_core->open) m_core->abandon();
}

void TlsStream::start(Handlers handlers) {
  m_core->handlers = std::move(handlers);
  m_core->idle.set(Loop::now() + m_core->limits.idle_timeout);
  m_core->read();
}

Result<void> TlsStream::send(ByteView message) {
  if (!m_core->open) return fail(Errc::closed);
  if (message.size() > m_core->limits.max_message) return fail(Errc::too_large, "message larger than a frame may be");
  const std::size_t size = kFrameHeaderSize + message.size();
  if (m_core->queued + size > m_core->limits.max_queued)
    return fail(Errc::exhausted, "the queue towards " + m_core->remote.text() + " is full");
  m_core->queue.push_back(frame(message));
  m_core->queued += size;
  m_core->soon.want();
  return {};
}

void TlsStream::flush() {
  m_core->write();
}

void TlsStream::close() {
  if (!m_core->open) return;
  m_core->open = false;
  m_core->idle.cancel();
  m_core->write();
  if (!m_core->writing) return m_core->finish();
  m_core->closing = true;  // the write under way holds the core and ends it
}

std::size_t TlsStream::queued() const {
  return m_core->queued;
}

const PeerIdentity& TlsStream::peer() const {
  return *m_core->peer;
}

const Endpoint& TlsStream::remote() const {
  return m_core->remote;
}

struct TlsListener::Core {
  std::unique_ptr<TlsAcceptor> acceptor;
};

Result<std::unique_ptr<TlsListener>> TlsListener::open(Loop& loop, const Endpoint& local,
                                                       std::shared_ptr<const TlsContext> context,
                                                       const TlsStreamLimits& limits, AcceptHandler on_accept,
                                                       RefusedHandler on_refused) {
  TlsAcceptor::Options options;
  options.handshake_timeout = limits.handshake_timeout;
  options.max_pending = limits.max_pending_handshakes;
  options.on_accept = [&loop, limits, accept = std::move(on_accept)](std::unique_ptr<TlsSocket> socket) mutable {
    accept(std::make_unique<TlsStream>(loop, std::move(socket), limits));
  };
  options.on_refused = std::move(on_refused);
  QUIPU_TRY_ASSIGN(auto acceptor, TlsAcceptor::open(loop, local, std::move(context), std::move(options)));
  std::unique_ptr<TlsListener> out(new TlsListener);
  out->m_core = std::make_shared<Core>(std::move(acceptor));
  return out;
}

TlsListener::~TlsListener() = default;

Endpoint TlsListener::local() const {
  return m_core->acceptor->local();
}

void TlsListener::set_context(std::shared_ptr<const TlsContext> context, bool distrust) {
  m_core->acceptor->set_context(std::move(context), distrust);
}

struct TlsConnector::Core {
  std::unique_ptr<TlsConnect> attempt;
};

TlsConnector::TlsConnector(Loop& loop, std::shared_ptr<const TlsContext> context, const TlsStreamLimits& limits,
                           HostPort to, std::string expected_id, Handler handler)
    : m_core(std::make_shared<Core>()) {
  auto wrap = [&loop, limits, answer = std::move(handler)](Result<std::unique_ptr<TlsSocket>> socket) mutable {
    if (!socket) return answer(std::unexpected(std::move(socket).error()));
    answer(std::make_unique<TlsStream>(loop, std::move(*socket), limits));
  };
  m_core->attempt = std::make_unique<TlsConnect>(loop, std::move(context), std::move(to), std::move(expected_id),
                                                 limits.handshake_timeout, std::move(wrap));
}

TlsConnector::~TlsConnector() = default;

}  // namespace quipu::net
