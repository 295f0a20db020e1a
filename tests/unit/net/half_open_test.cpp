// SPDX-License-Identifier: Apache-2.0
// Connections that never end their TLS handshake must not keep a genuine client out.
#include <fcntl.h>
#include <sys/socket.h>

#include <functional>
#include <vector>

#include "base/unique_fd.h"
#include "fixture.h"
#include "net/sockaddr.h"
#include "net/tls_socket.h"
#include "support/network_namespace.h"

namespace quipu::net {
namespace {

// A socket of the kernel, bound there, without TLS.
UniqueFd plain_socket(const Endpoint& at) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = to_sockaddr(at);
  EXPECT_EQ(::bind(socket.get(), address.get(), address.size), 0);
  return socket;
}

class HalfOpen : public ::testing::Test {
 protected:
  void SetUp() override { open({}); }

  void open(const HandshakeLimits& senders) {
    TlsAcceptor::Options options;
    options.senders = senders;
    options.max_pending = max_pending;
    options.handshake_timeout = std::chrono::minutes(10);
    options.hello_timeout = hello_timeout;
    options.on_accept = [this](std::unique_ptr<TlsSocket> socket) { accepted.push_back(std::move(socket)); };
    options.on_refused = [this](const Endpoint& from, const Error& reason) {
      refused.push_back(from);
      reasons.push_back(reason.code);
    };
    auto opened = TlsAcceptor::open(loop, at, context, std::move(options));
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    acceptor = std::move(*opened);
  }

  // Connects from the address with that last octet and says nothing.
  Endpoint hold(std::uint8_t last) {
    IpAddress from = at.address;
    from.octets[3] = last;
    const UniqueFd& socket = held.emplace_back(plain_socket({from, 0, 0}));
    const SocketAddress to = to_sockaddr(acceptor->local());
    EXPECT_EQ(::connect(socket.get(), to.get(), to.size), 0);
    return local_endpoint(socket.get()).value_or(Endpoint{});
  }

  // A client with a good certificate, from the address that is listened on.
  void expect_welcome() {
    const std::size_t before = accepted.size();
    std::optional<Result<std::unique_ptr<TlsSocket>>> result;
    const TlsConnect connect(loop, pki.context("kme-b"), {at.address.text(), acceptor->local().port}, "kme-a",
                             std::chrono::seconds(30), [&](auto socket) { result = std::move(socket); });
    run_until(loop, [&] { return result.has_value(); });
    EXPECT_TRUE(result->has_value()) << result->error().text;
    run_until(loop, [&] { return accepted.size() > before; });
  }

  // What such a client says first.
  Bytes client_hello() {
    const UniqueFd listener = plain_socket(kLoopback);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::fcntl(listener.get(), F_SETFL, O_NONBLOCK), 0);
    const TlsConnect connect(loop, pki.context("kme-b"),
                             {"127.0.0.1", local_endpoint(listener.get()).value_or(Endpoint{}).port}, "kme-a",
                             std::chrono::seconds(30), [](auto) {});
    Bytes hello(16'384);
    ssize_t size = -1;
    UniqueFd server;
    run_until(loop, [&] {
      if (server.get() < 0) server = UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      return (size = ::recv(server.get(), hello.data(), hello.size(), MSG_DONTWAIT)) > 0;
    });
    hello.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return hello;
  }

  Endpoint at = kLoopback;
  std::size_t max_pending = 8;  // and 2 of one address
  Duration hello_timeout = std::chrono::minutes(10);
  TestPki pki;
  // A session holds its context.
  std::shared_ptr<const TlsContext> context = pki.context("kme-a");
  Loop loop;
  std::vector<UniqueFd> held;
  std::vector<std::unique_ptr<TlsSocket>> accepted;
  std::vector<Endpoint> refused;
  std::vector<Errc> reasons;
  std::unique_ptr<TlsAcceptor> acceptor;
};

TEST_F(HalfOpen, TheOldestOfTheSameAddressGivesWay) {
  const Endpoint oldest = hold(1);
  hold(1);
  expect_welcome();
  EXPECT_EQ(refused, std::vector{oldest});
  EXPECT_EQ(reasons, std::vector{Errc::exhausted});
}

TEST_F(HalfOpen, WhoSaysNothingCostsNoSession) {
  const long before = context.use_count();
  for (const std::uint8_t last : Bytes{2, 3, 4, 5, 6})
    hold(last);
  const Endpoint oldest = hold(7);
  hold(7);
  hold(7);  // in the place of the oldest, when all before it have been accepted
  run_until(loop, [&] { return refused == std::vector{oldest}; });
  EXPECT_EQ(context.use_count(), before);
  ASSERT_EQ(::send(held.back().get(), "\x16", 1, 0), 1);
  run_until(loop, [&] { return context.use_count() == before + 1; }, "the session of the one that speaks");
}

TEST_F(HalfOpen, OneOfTheAddressThatHoldsMostGivesWay) {
  hold(2);  // the oldest of all, but the only one there
  const Endpoint oldest = hold(3);
  for (const std::uint8_t last : Bytes{3, 4, 4, 5, 5, 6})
    hold(last);
  expect_welcome();
  EXPECT_EQ(refused, std::vector{oldest});
}

TEST_F(HalfOpen, TheSilentGiveWayBeforeThoseThatSaidHello) {
  const Bytes hello = client_hello();
  hold(1);
  const int talks = held.front().get();
  ASSERT_EQ(::send(talks, hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
  // The server's answer: it has read the hello.
  std::array<char, 1> octet{};
  run_until(loop, [&] { return ::recv(talks, octet.data(), octet.size(), MSG_DONTWAIT) == 1; });
  const Endpoint silent = hold(1);
  expect_welcome();
  EXPECT_EQ(refused, std::vector{silent});
}

TEST_F(HalfOpen, WhoIsKnownGivesWayLast) {
  expect_welcome();
  hold(1);  // the oldest of all
  const Endpoint oldest_stranger = hold(2);
  for (const std::uint8_t last : Bytes{3, 4, 5, 6, 7, 8, 9})
    hold(last);
  run_until(loop, [&] { return !refused.empty(); });
  EXPECT_EQ(refused, std::vector{oldest_stranger});
}

// From addresses that are not loopback, in a network namespace of its own.
class HalfOpenFromAfar : public HalfOpen {
 protected:
  void SetUp() override { at.address = IpAddress::from_octets(Bytes{192, 0, 2, 1}); }

  static void in_namespace(const std::function<void()>& body) {
    test::in_network_namespace("ip link set lo up && ip addr add 192.0.2.1/24 dev lo", body);
  }
};

TEST_F(HalfOpenFromAfar, WhoBeginsTooManyIsHungUpOn) {
  in_namespace([this] {
    max_pending = 64;
    open({.stranger = {.burst = 3, .interval = std::chrono::hours(1)}});
    const long before = context.use_count();
    for (int i = 0; i < 4; ++i) {
      hold(2);
      EXPECT_EQ(::send(held.back().get(), "\x16", 1, 0), 1);
    }
    run_until(loop, [&] { return !refused.empty(); });
    EXPECT_EQ(context.use_count(), before + 3) << "no session for the one too many";
    EXPECT_EQ(refused.back().address, *IpAddress::parse("192.0.2.2"));
    EXPECT_EQ(reasons, std::vector{Errc::exhausted});
    // Others are not kept from anything by that.
    expect_welcome();
    EXPECT_EQ(refused.size(), 1U);
  });
}

// A handshake is counted when it begins: any user of a machine could otherwise spend, at no cost, what its SAE needs.
TEST_F(HalfOpenFromAfar, NeitherSilenceNorHangingUpIsCounted) {
  in_namespace([this] {
    open({.stranger = {.burst = 1, .interval = std::chrono::hours(1)},
          .known = {.burst = 1, .interval = std::chrono::hours(1)}});
    expect_welcome();
    for (int i = 0; i < 500; ++i) {
      hold(1);
      if (i % 2 == 0) held.pop_back();
    }
    expect_welcome();
  });
}

// Every user of a machine has its loopback addresses.
TEST_F(HalfOpen, WhoSpeaksOnLoopbackIsNotCountedEither) {
  acceptor.reset();
  open({.stranger = {.burst = 1, .interval = std::chrono::hours(1)},
        .known = {.burst = 1, .interval = std::chrono::hours(1)}});
  for (int i = 0; i < 3; ++i)
    expect_welcome();
  EXPECT_TRUE(refused.empty());
}

class HalfOpenInTime : public HalfOpen {
 protected:
  HalfOpenInTime() { hello_timeout = std::chrono::milliseconds(20); }
};

// The handshake as a whole has ten minutes here.
TEST_F(HalfOpenInTime, WhoSaysNothingIsGivenUpSooner) {
  const Endpoint silent = hold(1);
  run_until(loop, [&] { return !refused.empty(); });
  EXPECT_EQ(refused, std::vector{silent});
  EXPECT_EQ(reasons, std::vector{Errc::timeout});
}

}  // namespace
}  // namespace quipu::net
