// SPDX-License-Identifier: Apache-2.0
#include "net/tls_stream.h"

#include "fixture.h"
#include "net/tls_socket.h"

namespace quipu::net {
namespace {

// One end: what came, and why it ended.
struct End {
  explicit End(std::unique_ptr<TlsStream> established) : stream(std::move(established)) {
    stream->start({.on_message =
                       [this](ByteView message) {
                         messages.emplace_back(as_text(message));
                         if (on_message) on_message(message);
                       },
                   .on_closed = [this](Error error) { closed = std::move(error); }});
  }

  std::unique_ptr<TlsStream> stream;
  std::vector<std::string> messages;
  std::optional<Error> closed;
  Callback<void(ByteView)> on_message;
};

class TlsStreamTest : public ::testing::Test {
 protected:
  void open(const TlsStreamLimits& server_limits = {}, const TlsStreamLimits& client_limits = {}) {
    auto opened = TlsListener::open(loop, kLoopback, pki.context("b"), server_limits,
                                    [this](auto stream) { server = std::make_unique<End>(std::move(stream)); });
    ASSERT_TRUE(opened.has_value());
    listener = std::move(*opened);
    const TlsConnector connector(loop, pki.context("a"), client_limits, {"127.0.0.1", listener->local().port}, "b",
                                 [this](auto stream) { client = std::make_unique<End>(std::move(*stream)); });
    run_until(loop, [&] { return server != nullptr && client != nullptr; });
  }

  // A client that writes octets of its own instead of messages.
  std::unique_ptr<TlsSocket> open_raw(const TlsStreamLimits& limits) {
    auto opened = TlsListener::open(loop, kLoopback, pki.context("b"), limits,
                                    [this](auto stream) { server = std::make_unique<End>(std::move(stream)); });
    listener = std::move(*opened);
    std::unique_ptr<TlsSocket> raw;
    const TlsConnect connect(loop, pki.context("a"), {"127.0.0.1", listener->local().port}, "b",
                             std::chrono::seconds(30), [&](auto socket) { raw = std::move(*socket); });
    run_until(loop, [&] { return server != nullptr && raw != nullptr; });
    return raw;
  }

  TestPki pki;
  Loop loop;
  std::unique_ptr<TlsListener> listener;
  std::unique_ptr<End> server;
  std::unique_ptr<End> client;
};

// At a boot the daemon may be there first. These are addresses that no machine has (RFC 5737, RFC 3849).
TEST_F(TlsStreamTest, ListensAtAnAddressThatIsNotThereYet) {
  for (const std::string_view text : {"192.0.2.77", "2001:db8::77"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address);
    const auto opened = TlsListener::open(loop, {*address, 0, 0}, pki.context("b"), {}, [](auto) {});
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    EXPECT_NE((*opened)->local().port, 0);
  }
}

TEST_F(TlsStreamTest, CarriesMessagesBothWaysInOrder) {
  open();
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < 400; ++i)
    sent.emplace_back(i * 37 % 3000, static_cast<char>('a' + i % 26));
  sent.emplace_back(TlsStreamLimits().max_message, 'z');
  for (const std::string& text : sent) {
    ASSERT_TRUE(client->stream->send(as_bytes(text)).has_value());
    ASSERT_TRUE(server->stream->send(as_bytes(text)).has_value());
  }
  run_until(loop, [&] { return client->messages.size() == sent.size() && server->messages.size() == sent.size(); });
  EXPECT_EQ(server->messages, sent);
  EXPECT_EQ(client->messages, sent);
}

TEST_F(TlsStreamTest, BoundsQueueAndMessage) {
  TlsStreamLimits limits;
  limits.max_message = 100;
  limits.max_queued = 250;
  open(limits, limits);
  const std::string message(100, 'x');
  EXPECT_EQ(client->stream->send(as_bytes(message + "x")).error().code, Errc::too_large);
  EXPECT_TRUE(client->stream->send(as_bytes(message)).has_value());
  EXPECT_TRUE(client->stream->send(as_bytes(message)).has_value());
  EXPECT_EQ(client->stream->send(as_bytes(message)).error().code, Errc::exhausted);
  run_until(loop, [&] { return server->messages.size() == 2; });
  EXPECT_TRUE(client->stream->send(as_bytes(message)).has_value());
  run_until(loop, [&] { return server->messages.size() == 3; });
  EXPECT_FALSE(client->closed.has_value());
}

TEST_F(TlsStreamTest, CloseSendsWhatIsQueuedFirst) {
  open();
  const std::string large(200'000, 'x');
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(client->stream->send(as_bytes(large)).has_value());
  client->stream->close();
  EXPECT_EQ(client->stream->send(as_bytes("late")).error().code, Errc::closed);
  run_until(loop, [&] { return server->closed.has_value(); });
  EXPECT_EQ(server->messages.size(), 20U);
  EXPECT_EQ(server->closed->code, Errc::closed) << server->closed->text;
  EXPECT_FALSE(client->closed.has_value());
}

TEST_F(TlsStreamTest, DestroyingClosesAtOnce) {
  open();
  client->stream.reset();
  run_until(loop, [&] { return server->closed.has_value(); });
}

TEST_F(TlsStreamTest, SilenceEndsIt) {
  TlsStreamLimits limits;
  limits.idle_timeout = std::chrono::milliseconds(10);
  open(limits);
  run_until(loop, [&] { return server->closed && client->closed; });
  EXPECT_EQ(server->closed->code, Errc::timeout);
  EXPECT_NE(client->closed->code, Errc::timeout);
}

TEST_F(TlsStreamTest, APeerThatDoesNotReadIsGivenUp) {
  TlsStreamLimits limits;
  limits.write_timeout = std::chrono::milliseconds(50);
  limits.max_queued = std::size_t{64} * 1024 * 1024;
  const auto raw = open_raw(limits);  // never reads
  const std::string large(limits.max_message, 'x');
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(server->stream->send(as_bytes(large)).has_value());
  run_until(loop, [&] { return server->closed.has_value(); });
  EXPECT_EQ(server->closed->code, Errc::timeout);
}

TEST_F(TlsStreamTest, AnnouncedLengthsBeyondTheLimitEndIt) {
  const auto raw = open_raw({});
  raw->write(SecretBytes::copy_of(Bytes{0, 0, 0, 1, 'x', 0xff, 0xff, 0xff, 0xff}), [](auto) {});
  run_until(loop, [&] { return server->closed.has_value(); });
  EXPECT_EQ(server->messages, std::vector<std::string>{"x"});
  EXPECT_EQ(server->closed->code, Errc::too_large);
}

TEST_F(TlsStreamTest, MayBeDestroyedByItsOwnMessage) {
  open();
  auto& stream = client->stream;
  client->on_message = [&](ByteView) { stream.reset(); };
  ASSERT_TRUE(server->stream->send(as_bytes("one")).has_value());
  ASSERT_TRUE(server->stream->send(as_bytes("two")).has_value());
  run_until(loop, [&] { return stream == nullptr && server->closed.has_value(); });
  EXPECT_EQ(client->messages, std::vector<std::string>{"one"});
  EXPECT_FALSE(client->closed.has_value());
}

}  // namespace
}  // namespace quipu::net
