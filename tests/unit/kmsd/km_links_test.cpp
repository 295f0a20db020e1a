// SPDX-License-Identifier: Apache-2.0
// The connections of the KM links, over real sockets on loopback.
#include "kmsd/km_links.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <set>

#include "base/unique_fd.h"
#include "kms/link_message.h"
#include "kmsd/backoff.h"
#include "net/sockaddr.h"
#include "support/fixed_rng.h"
#include "support/recorded_log.h"
#include "unit/net/fixture.h"

namespace quipu::kmsd {
namespace {

using net::kLoopback;
using test::RecordedLog;
using test::run_until;

const Bytes kWord{1};

class KmLinksTest : public ::testing::Test {
 protected:
  // "kme-m" and its one peer, which is dialled at that port, or dials.
  void open(const std::string& peer, bool dials, std::uint16_t port = 1, Duration patience = KmLinks::kPatience) {
    const config::KmLinkConfig own{.listen = kLoopback, .tls = {}};
    const config::PeerKmeConfig other{
        .id = KmeId(peer), .address = {.host = host, .port = port, .literal = {}}, .saes = {}, .position = {}};
    KmLinks::Events events{.connected =
                               [this](kms::LinkId link, const KmeId&) {
                                 ++connected;
                                 if (on_connected) on_connected(link);
                               },
                           .received =
                               [this](kms::LinkId, ByteView) {
                                 ++received;
                                 if (on_received) on_received();
                               },
                           .disconnected = [this](kms::LinkId, const Error& reason) { ended.push_back(reason.code); },
                           .sent = [this] { ++sent; }};
    auto opened = KmLinks::open(loop, own, {other}, pki.context("kme-m"), [dials](const KmeId&) { return dials; },
                                std::move(events), log, patience,
                                {.now = [this] { return now; }, .wall_now = [this] { return wall_now; }});
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    links = std::move(*opened);
  }

  struct Peer {
    std::unique_ptr<net::TlsStream> stream;
    bool closed = false;
  };

  // Dials into `links` under that name.
  void connect(Peer& peer, const std::string& name, const net::TlsStreamLimits& limits = {}) {
    const net::TlsConnector connector(loop, pki.context(name), limits, {"127.0.0.1", links->local().port}, "kme-m",
                                      [&](Result<std::unique_ptr<net::TlsStream>> result) {
                                        ASSERT_TRUE(result.has_value()) << result.error().text;
                                        peer.stream = std::move(*result);
                                      });
    run_until(loop, [&] { return peer.stream != nullptr; });
    peer.stream->start({.on_message = [](ByteView) {}, .on_closed = [&](const Error&) { peer.closed = true; }});
  }

  std::string host = "127.0.0.1";  // where the peer is dialled
  net::TestPki pki;
  net::Loop loop;
  RecordedLog log;
  TimePoint now = net::Loop::now();
  WallTime wall_now = service::wall_now();
  std::unique_ptr<KmLinks> links;
  std::function<void(kms::LinkId)> on_connected;
  std::function<void()> on_received;
  int connected = 0;
  int received = 0;
  int sent = 0;
  std::vector<Errc> ended;
};

class BackoffTest : public ::testing::Test {
 protected:
  // Contact of that length, if any, and how long is waited after it.
  Duration wait_after(std::optional<Duration> contact) {
    if (contact) backoff.contact_made(now);
    now += contact.value_or(Duration::zero());
    const Duration delay = backoff.next(now, rng);
    now += delay;
    return delay;
  }

  // Between a half of it and all of it.
  static void expect_about(Duration delay, Duration longest) {
    EXPECT_GE(delay, longest / 2);
    EXPECT_LE(delay, longest);
  }

  Backoff backoff;
  test::SeededRng rng{"backoff"};
  TimePoint now{std::chrono::hours(1)};
};

TEST_F(BackoffTest, DoublesUpToItsLongest) {
  Duration longest = Backoff::kFirst;
  for (int i = 0; i < 20; ++i) {
    expect_about(wait_after({}), longest);
    longest = std::min(2 * longest, Backoff::kLongest);
  }
  EXPECT_EQ(longest, Backoff::kLongest);
}

// However many good connections ended in a row.
TEST_F(BackoffTest, StartsAgainAfterGoodContact) {
  for (int i = 0; i < 20; ++i)
    expect_about(wait_after(Backoff::kGoodContact), Backoff::kFirst);
  for (int i = 0; i < 20; ++i)
    wait_after({});
  expect_about(wait_after(Backoff::kGoodContact), Backoff::kFirst);
  expect_about(wait_after({}), 2 * Backoff::kFirst);  // contact counts once
}

TEST_F(BackoffTest, DoesNotHammerAPeerThatHangsUpAfterContact) {
  for (int i = 0; i < 20; ++i)
    wait_after(Backoff::kGoodContact - std::chrono::milliseconds(1));
  expect_about(wait_after(Duration::zero()), Backoff::kLongest);
}

TEST_F(BackoffTest, NoTwoPeersWaitTheSame) {
  std::set<Duration> waits;
  for (int i = 0; i < 100; ++i)
    waits.insert(wait_after(Backoff::kGoodContact));
  EXPECT_GT(waits.size(), 90U);
}

// Neither a handshake nor contact that ends at once brings the delay back.
TEST_F(KmLinksTest, APeerThatHangsUpIsDialledMoreAndMoreRarely) {
  auto listener =
      net::TlsListener::open(loop, kLoopback, pki.context("kme-z"), {}, [](std::unique_ptr<net::TlsStream> stream) {
        ASSERT_TRUE(stream->send(kWord).has_value());
        stream->close();
      });
  ASSERT_TRUE(listener.has_value());
  on_connected = [this](kms::LinkId) { links->in_contact(KmeId("kme-z")); };
  open("kme-z", true, (*listener)->local().port);
  const auto delays = [&] { return log.values("km_link_dials_again", "delay_ms"); };
  run_until(loop, [&] { return delays().size() >= 3; });
  EXPECT_EQ(connected, 3);
  Duration longest = Backoff::kFirst;
  for (const std::string& delay : delays()) {
    const Duration waited = std::chrono::milliseconds(std::stoi(delay));
    EXPECT_GE(waited, longest / 2);
    EXPECT_LE(waited, longest);
    longest *= 2;
  }
}

// Not even the Goodbye of a core that ends the connection in the same turn: it is small enough for the rest of the
// room.
TEST_F(KmLinksTest, NothingFollowsAMessageThatFoundNoRoom) {
  std::vector<std::unique_ptr<net::TlsStream>> silent;  // read nothing
  auto listener =
      net::TlsListener::open(loop, kLoopback, pki.context("kme-z"), {}, [&](std::unique_ptr<net::TlsStream> stream) {
        ASSERT_TRUE(stream->send(kWord).has_value());
        silent.push_back(std::move(stream));
      });
  ASSERT_TRUE(listener.has_value());
  const Bytes longest(kms::wire::kMaxMessageSize);
  const Bytes goodbye(2);
  on_connected = [&](kms::LinkId link) {
    if (connected > 2) return;
    for (std::size_t size = 0; size <= net::TlsStreamLimits{}.max_queued; size += longest.size())
      links->send(link, longest);
    links->send(link, goodbye);
    if (connected == 2) links->close(link);
  };
  open("kme-z", true, (*listener)->local().port);
  run_until(loop, [&] { return connected == 3; });
  EXPECT_EQ(ended, (std::vector{Errc::exhausted, Errc::exhausted}));
  for (std::size_t i = 0; i < 2; ++i) {
    bool closed = false;
    std::size_t shortest = longest.size();
    silent.at(i)->start({.on_message = [&](ByteView message) { shortest = std::min(shortest, message.size()); },
                         .on_closed = [&](const Error&) { closed = true; }});
    run_until(loop, [&] { return closed; });
    EXPECT_EQ(shortest, longest.size());
  }
}

// Long before a message would find no room.
TEST_F(KmLinksTest, ThereIsNoRoomForOthersWhileThePeerDoesNotRead) {
  open("kme-a", false);
  const KmeId kme_a("kme-a");
  EXPECT_TRUE(links->has_room(kme_a));
  std::unique_ptr<net::TlsStream> peer;
  std::optional<kms::LinkId> link;
  on_connected = [&](kms::LinkId made) { link = made; };
  const net::TlsConnector connector(loop, pki.context("kme-a"), {}, {"127.0.0.1", links->local().port}, "kme-m",
                                    [&](auto stream) { peer = std::move(*stream); });
  run_until(loop, [&] { return peer != nullptr && link; });
  const Bytes longest(kms::wire::kMaxMessageSize);
  links->send(*link, longest);
  EXPECT_FALSE(links->has_room(kme_a));
  EXPECT_TRUE(links->has_room(KmeId("kme-b")));
  for (int i = 1; i < 40; ++i)
    links->send(*link, longest);
  int heard = 0;
  peer->start({.on_message = [&](ByteView) { ++heard; }, .on_closed = [](const Error&) {}});
  run_until(loop, [&] { return links->has_room(kme_a); });
  EXPECT_GT(sent, 0);
  run_until(loop, [&] { return heard == 40; });
  EXPECT_TRUE(ended.empty());
}

// In TLS 1.3 the caller's handshake is done before the other end has looked at its certificate.
TEST_F(KmLinksTest, AConnectionThatThePeerRefusesNeverStood) {
  const net::TestPki others("another CA");
  net::TlsFiles theirs = pki.issue("kme-z");
  theirs.ca = others.ca();
  bool refused = false;
  auto listener = net::TlsListener::open(
      loop, kLoopback, net::TestPki::load(theirs), {}, [](auto) { FAIL(); },
      [&](const Endpoint&, const Error&) { refused = true; });
  ASSERT_TRUE(listener.has_value());
  open("kme-z", true, (*listener)->local().port);
  run_until(loop, [&] { return log.count("km_link_dials_again") == 2; });
  EXPECT_TRUE(refused);
  EXPECT_EQ(connected, 0);
  EXPECT_TRUE(ended.empty());
  EXPECT_EQ(log.count("km_link_connected"), 0U);
  EXPECT_EQ(log.count("km_link_unreachable"), 1U);
  EXPECT_THAT(links->attempts().at(KmeId("kme-z")),
              testing::AllOf(testing::HasSubstr("calling kme-z"), testing::HasSubstr("authentication"),
                             testing::HasSubstr((*listener)->local().text())));
}

TEST_F(KmLinksTest, WhatFailedLastIsRememberedUntilItSucceeds) {
  // Nobody else is given a port there, once this one is free again.
  host = "127.0.0.2";
  Endpoint own{*IpAddress::parse(host), 0, 0};
  {
    const auto taken = net::TlsListener::open(loop, own, pki.context("kme-z"), {}, [](auto) {});
    ASSERT_TRUE(taken.has_value());
    own.port = (*taken)->local().port;
  }
  open("kme-z", true, own.port);
  const std::string address = own.text();
  EXPECT_EQ(links->attempts().at(KmeId("kme-z")), "calling kme-z at " + address);
  run_until(loop, [&] { return log.count("km_link_dials_again") > 0; });
  EXPECT_THAT(links->attempts().at(KmeId("kme-z")),
              testing::AllOf(testing::HasSubstr(address), testing::HasSubstr("refused")));
  std::unique_ptr<net::TlsStream> accepted;
  const auto listener =
      net::TlsListener::open(loop, own, pki.context("kme-z"), {}, [&](std::unique_ptr<net::TlsStream> stream) {
        ASSERT_TRUE(stream->send(kWord).has_value());
        accepted = std::move(stream);
      });
  ASSERT_TRUE(listener.has_value());
  run_until(loop, [&] { return connected == 1; });
  EXPECT_EQ(links->attempts().at(KmeId("kme-z")), "calling kme-z at " + address);
}

TEST_F(KmLinksTest, APeerThatHasToCallUsIsMissedOnce) {
  open("kme-a", false, 1, Duration::zero());
  const std::string here = links->local().text();
  EXPECT_EQ(links->attempts().at(KmeId("kme-a")), "waiting for kme-a to call us on " + here);
  run_until(loop, [&] { return log.count("km_link_awaited") > 0; });
  EXPECT_EQ(log.values("km_link_awaited", "peer"), std::vector<std::string>{"kme-a"});
  EXPECT_EQ(log.values("km_link_awaited", "address"), std::vector{here});
  Peer peer;
  connect(peer, "kme-a");
  run_until(loop, [&] { return connected == 1; });
  EXPECT_EQ(log.count("km_link_awaited"), 1U);
  peer.stream.reset();
  run_until(loop, [&] { return log.count("km_link_awaited") == 2; });
  EXPECT_EQ(ended.size(), 1U);
}

TEST_F(KmLinksTest, ThePeerThatIsDialledMayNotDial) {
  open("kme-z", true);
  Peer peer;
  connect(peer, "kme-z");
  run_until(loop, [&] { return peer.closed; });
  EXPECT_EQ(connected, 0);
  ASSERT_EQ(log.values("km_link_refused", "error").size(), 1U);
  EXPECT_THAT(log.values("km_link_refused", "error")[0],
              testing::AllOf(testing::HasSubstr("of kme-z"), testing::HasSubstr("the lower id dials")));
}

// As often as one comes that has a certificate of ours, and no place in the configuration, there is one line.
TEST_F(KmLinksTest, AStrangerIsRefused) {
  open("kme-a", false);
  for (int i = 0; i < 3; ++i) {
    Peer peer;
    connect(peer, "kme-x");
    run_until(loop, [&] { return peer.closed; });
  }
  EXPECT_EQ(connected, 0);
  ASSERT_EQ(log.values("km_link_refused", "error").size(), 1U);
  EXPECT_THAT(log.values("km_link_refused", "error")[0], testing::HasSubstr("of quipu:kme-x"));
}

TEST_F(KmLinksTest, AMessageBeyondTheProtocolsLimitEndsTheLink) {
  open("kme-a", false);
  Peer peer;
  connect(peer, "kme-a", {.max_message = 2 * kms::wire::kMaxMessageSize});
  const Bytes longest(kms::wire::kMaxMessageSize);
  const Bytes longer(kms::wire::kMaxMessageSize + 1);
  ASSERT_TRUE(peer.stream->send(longest).has_value());
  ASSERT_TRUE(peer.stream->send(longer).has_value());
  run_until(loop, [&] { return !ended.empty(); });
  EXPECT_EQ(received, 1);
  EXPECT_EQ(ended, std::vector{Errc::too_large});
}

TEST_F(KmLinksTest, ALinkEndsWithThePeersCertificate) {
  open("kme-a", false);
  Peer peer;
  connect(peer, "kme-a");
  ASSERT_TRUE(peer.stream->send(kWord).has_value());
  run_until(loop, [&] { return received == 1; });
  wall_now = pki.end() + std::chrono::seconds(1);
  ASSERT_TRUE(peer.stream->send(kWord).has_value());
  run_until(loop, [&] { return !ended.empty(); }, "the end of the certificate");
  EXPECT_EQ(ended, std::vector{Errc::authentication});
  EXPECT_EQ(received, 1);
}

// Nor is anything heard any more that had come before.
TEST_F(KmLinksTest, DistrustEndsEveryLink) {
  open("kme-a", false);
  Peer peer;
  connect(peer, "kme-a");
  run_until(loop, [&] { return connected == 1; });
  // The first goes alone, and those that wait for it in one piece, which is read in one.
  on_received = [this] {
    if (received == 2) links->set_context(pki.context("kme-m"), true);
  };
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(peer.stream->send(kWord).has_value());
  run_until(loop, [&] { return peer.closed && !ended.empty(); });
  EXPECT_EQ(received, 2);
  EXPECT_EQ(ended, std::vector{Errc::closed});
  on_received = nullptr;
  Peer again;
  connect(again, "kme-a");
  run_until(loop, [&] { return connected == 2; });
}

TEST_F(KmLinksTest, OtherCertificatesOfTheSameTrustEndNoLink) {
  open("kme-a", false);
  Peer peer;
  connect(peer, "kme-a");
  run_until(loop, [&] { return connected == 1; });
  links->set_context(pki.context("kme-m"), false);
  ASSERT_TRUE(peer.stream->send(kWord).has_value());
  run_until(loop, [&] { return received == 1; });
  EXPECT_TRUE(ended.empty());
}

// It is no fault of the peer's, so nothing is said of it.
TEST_F(KmLinksTest, DistrustHasACallThatIsBeingMadeBeginAnew) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const net::SocketAddress any_port = net::to_sockaddr(kLoopback);
  ASSERT_EQ(::bind(listener.get(), any_port.get(), any_port.size), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  const auto accept_one = [&] {
    UniqueFd accepted;
    run_until(loop, [&] {
      accepted.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      return bool(accepted);
    });
    return accepted;
  };
  open("kme-z", true, net::local_endpoint(listener.get())->port);
  const UniqueFd first = accept_one();
  links->set_context(pki.context("kme-m"), true);
  const UniqueFd second = accept_one();
  Bytes rest(4096);
  run_until(loop, [&] {
    const ssize_t got = ::recv(first.get(), rest.data(), rest.size(), 0);
    return got == 0 || (got < 0 && errno != EAGAIN);
  });
  EXPECT_EQ(log.count("km_link_unreachable"), 0U);
}

TEST_F(KmLinksTest, DistrustHasACallThatIsNotAnsweredYetBeginAnew) {
  std::vector<std::unique_ptr<net::TlsStream>> callers;
  const auto listener =
      net::TlsListener::open(loop, kLoopback, pki.context("kme-z"), {},
                             [&](std::unique_ptr<net::TlsStream> stream) { callers.push_back(std::move(stream)); });
  ASSERT_TRUE(listener.has_value());
  open("kme-z", true, (*listener)->local().port);
  run_until(loop, [&] { return callers.size() == 1; });
  const auto renewed = pki.context("kme-m");
  links->set_context(renewed, true);
  run_until(loop, [&] { return callers.size() == 2; });
  EXPECT_EQ(callers[1]->peer().fingerprint, renewed->own().fingerprint);
  ASSERT_TRUE(callers[1]->send(kWord).has_value());
  run_until(loop, [&] { return connected == 1; });
  EXPECT_EQ(log.count("km_link_unreachable"), 0U);
  EXPECT_TRUE(ended.empty());
}

}  // namespace
}  // namespace quipu::kmsd
