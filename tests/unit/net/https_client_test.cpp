// SPDX-License-Identifier: Apache-2.0
#include "net/https_client.h"

#include "https_fixture.h"

namespace quipu::net {
namespace {

using std::chrono::milliseconds;
using Answer = std::expected<HttpResponse, HttpFailure>;
constexpr Duration kLong = std::chrono::minutes(1);

class HttpsClientTest : public HttpsTest {
 protected:
  HttpsClientOptions options() const { return {.server = address(), .expected_id = "kme-a"}; }

  std::unique_ptr<HttpsClient> client(const HttpsClientOptions& chosen) {
    return std::make_unique<HttpsClient>(loop, chosen, pki.context("sae-a"));
  }

  Answer ask(HttpsClient& from, HttpRequest request, Duration timeout = kLong) {
    std::optional<Answer> out;
    from.send(std::move(request), timeout, [&](Answer answer) {
      EXPECT_FALSE(out.has_value());
      out = std::move(answer);
    });
    EXPECT_FALSE(out.has_value());  // never within send()
    run_until(loop, [&] { return out.has_value(); });
    return std::move(*out);
  }

  static HttpRequest get(std::string target) { return {.method = "GET", .target = std::move(target)}; }
};

// A server that says what the test wants: one script for each connection.
class ScriptedServer {
 public:
  ScriptedServer(Loop& loop, std::shared_ptr<const TlsContext> context) {
    TlsAcceptor::Options options;
    options.on_accept = [this](std::unique_ptr<TlsSocket> socket) {
      ++accepted;
      peers.push_back(std::make_unique<RawClient>(std::move(socket)));
    };
    acceptor = std::move(*TlsAcceptor::open(loop, kLoopback, std::move(context), std::move(options)));
  }

  HostPort address() const { return {"127.0.0.1", acceptor->local().port}; }

  // The request has arrived on connection `i`.
  bool asked(std::size_t i, int times = 1) const {
    int count = 0;
    for (std::size_t at = 0; i < peers.size() && (at = peers[i]->received.find("\r\n\r\n", at)) != std::string::npos;
         ++at)
      ++count;
    return count >= times;
  }

  std::unique_ptr<TlsAcceptor> acceptor;
  std::vector<std::unique_ptr<RawClient>> peers;
  std::size_t accepted = 0;
};

TEST_F(HttpsClientTest, GetsAndPosts) {
  open();
  const auto one = client(options());
  const Answer got = ask(*one, get("/x?y=z"));
  ASSERT_TRUE(got.has_value()) << got.error().error.text;
  EXPECT_EQ(got->status, 200U);
  EXPECT_EQ(got->content_type, "text/plain");
  EXPECT_EQ(as_text(got->body.view()), "GET /x?y=z ");
  const Answer posted = ask(*one, {.method = "POST", .target = "/p", .body = secret("hello")});
  ASSERT_TRUE(posted.has_value());
  EXPECT_EQ(as_text(posted->body.view()), "POST /p hello");
}

TEST_F(HttpsClientTest, SaysWithWhomItIsConnectedAndHow) {
  open();
  const auto asking = client(options());
  std::vector<std::string> told;
  asking->on_connected([&](const PeerIdentity& peer, const TlsAgreement& tls) {
    EXPECT_TRUE(peer.is("kme-a"));
    EXPECT_FALSE(peer.serial_number.empty());
    told.push_back(tls.version + " " + tls.group + " " + tls.cipher_suite);
  });
  ASSERT_TRUE(ask(*asking, get("/x")).has_value());
  ASSERT_TRUE(ask(*asking, get("/y")).has_value());
  EXPECT_EQ(told, std::vector<std::string>{"TLSv1.3 X25519MLKEM768 TLS_AES_256_GCM_SHA384"});
}

TEST_F(HttpsClientTest, HundredsOfRequestsShareOneConnection) {
  open();
  const auto one = client(options());
  int answered = 0;
  Callback<void()> next;
  next = [&] {
    if (answered == 500) return;
    one->send(get("/" + std::to_string(answered)), kLong, [&](Answer answer) {
      ASSERT_TRUE(answer.has_value());
      EXPECT_EQ(as_text(answer->body.view()), "GET /" + std::to_string(answered) + " ");
      ++answered;
      next();
    });
  };
  next();
  run_until(loop, [&] { return answered == 500; });
  EXPECT_EQ(server->connections(), 1U);
}

TEST_F(HttpsClientTest, ManyAtOnceShareThePoolAndLargeBodiesArrive) {
  open();
  const auto one = client(options());
  int answered = 0;
  const std::string body(200'000, 'b');
  for (int i = 0; i < 40; ++i) {
    one->send({.method = "POST", .target = "/", .body = secret(body)}, kLong, [&](Answer answer) {
      ASSERT_TRUE(answer.has_value());
      EXPECT_EQ(answer->body.size(), body.size() + 7);
      ++answered;
    });
  }
  run_until(loop, [&] { return answered == 40; });
  EXPECT_LE(server->connections(), 4U);
}

TEST_F(HttpsClientTest, WaitingRequestsAreBounded) {
  std::vector<Responder> held;
  handler = [&](HttpRequest, Responder responder) { held.push_back(std::move(responder)); };
  open();
  HttpsClientOptions chosen = options();
  chosen.max_connections = 1;
  chosen.max_waiting = 2;
  const auto one = client(chosen);
  std::vector<std::optional<Answer>> answers(3);
  for (auto& slot : answers)
    one->send(get("/"), kLong, [&slot](Answer answer) { slot = std::move(answer); });
  run_until(loop, [&] { return answers[2].has_value(); });
  ASSERT_FALSE(answers[2]->has_value());
  EXPECT_EQ(answers[2]->error().error.code, Errc::busy);
  EXPECT_FALSE(answers[2]->error().maybe_processed);
}

TEST_F(HttpsClientTest, DeadlinesHoldBeforeAndAfterSending) {
  std::vector<Responder> held;
  handler = [&](HttpRequest, Responder responder) { held.push_back(std::move(responder)); };
  open();
  HttpsClientOptions chosen = options();
  chosen.max_connections = 1;
  const auto one = client(chosen);
  std::optional<Answer> first;
  one->send(get("/held"), kLong, [&](Answer answer) { first = std::move(answer); });
  run_until(loop, [&] { return held.size() == 1; });
  const Answer late = ask(*one, get("/never-sent"), milliseconds(5));
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().error.code, Errc::timeout);
  EXPECT_FALSE(late.error().maybe_processed);
  held[0].send({});
  run_until(loop, [&] { return first.has_value(); });
  // Until it is sent in time, on however slow a machine.
  bool sent = false;
  for (Duration timeout = milliseconds(5); !sent && timeout < kLong; timeout *= 2) {
    const Answer unanswered = ask(*one, get("/sent"), timeout);
    ASSERT_FALSE(unanswered.has_value());
    EXPECT_EQ(unanswered.error().error.code, Errc::timeout);
    sent = unanswered.error().maybe_processed;
  }
  EXPECT_TRUE(sent);
}

TEST_F(HttpsClientTest, SaysWhetherTheServerMayHaveActed) {
  ScriptedServer script(loop, pki.context("kme-a"));
  const auto one = client({.server = script.address(), .expected_id = "kme-a"});
  std::optional<Answer> lost;
  one->send(get("/"), kLong, [&](Answer answer) { lost = std::move(answer); });
  run_until(loop, [&] { return script.asked(0); });
  script.peers[0]->socket.reset();
  run_until(loop, [&] { return lost.has_value(); });
  ASSERT_FALSE(lost->has_value());
  EXPECT_TRUE(lost->error().maybe_processed);
  EXPECT_TRUE(lost->error().retryable);
  EXPECT_EQ(script.accepted, 1U) << "it was sent again";

  const HostPort gone = script.address();
  script.acceptor.reset();
  const Answer nobody = ask(*one, get("/"));
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(nobody.error().error.code, Errc::unavailable);
  EXPECT_NE(nobody.error().error.text.find(gone.text()), std::string::npos);
  EXPECT_FALSE(nobody.error().maybe_processed);
  EXPECT_TRUE(nobody.error().retryable);
}

TEST_F(HttpsClientTest, RefusedCertificatesAreNotRetried) {
  open();
  const TestPki other("other CA");
  TlsFiles strange = other.issue("sae-a");
  strange.ca = pki.ca();
  HttpsClient stranger(loop, options(), TestPki::load(strange));
  const Answer refused_by_server = ask(stranger, get("/"));
  ASSERT_FALSE(refused_by_server.has_value());
  EXPECT_EQ(refused_by_server.error().error.code, Errc::authentication) << refused_by_server.error().error.text;
  EXPECT_FALSE(refused_by_server.error().maybe_processed);
  EXPECT_FALSE(refused_by_server.error().retryable);

  HttpsClient deceived(loop, options(), other.context("sae-a"));
  const Answer refused_by_us = ask(deceived, get("/"));
  ASSERT_FALSE(refused_by_us.has_value());
  EXPECT_EQ(refused_by_us.error().error.code, Errc::authentication);
  EXPECT_FALSE(refused_by_us.error().retryable);

  HttpsClientOptions wrong = options();
  wrong.expected_id = "kme-b";
  const Answer wrong_name = ask(*client(wrong), get("/"));
  ASSERT_FALSE(wrong_name.has_value());
  EXPECT_EQ(wrong_name.error().error.code, Errc::not_permitted);
  EXPECT_FALSE(wrong_name.error().retryable);
}

TEST_F(HttpsClientTest, BrokenRepliesAreFailures) {
  ScriptedServer script(loop, pki.context("kme-a"));
  HttpsClientOptions chosen{.server = script.address(), .expected_id = "kme-a"};
  chosen.max_body = 100;
  chosen.max_header = 1000;
  const std::pair<std::string, Errc> cases[] = {
      {"garbage\r\n\r\n", Errc::malformed},
      {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", Errc::too_large},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", Errc::too_large},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Errc::malformed},
  };
  for (const auto& [reply, code] : cases) {
    const auto one = client(chosen);
    std::optional<Answer> out;
    const std::size_t at = script.accepted;
    one->send(get("/"), kLong, [&](Answer answer) { out = std::move(answer); });
    run_until(loop, [&] { return script.asked(at); });
    script.peers[at]->say(reply);
    run_until(loop, [&] { return out.has_value(); });
    ASSERT_FALSE(out->has_value()) << reply;
    EXPECT_EQ(out->error().error.code, code) << reply << out->error().error.text;
    EXPECT_TRUE(out->error().maybe_processed);
  }
}

TEST_F(HttpsClientTest, RepliesThatEndWithTheConnectionOrFollowAnInterimOne) {
  ScriptedServer script(loop, pki.context("kme-a"));
  const auto one = client({.server = script.address(), .expected_id = "kme-a"});
  std::optional<Answer> out;
  one->send(get("/"), kLong, [&](Answer answer) { out = std::move(answer); });
  run_until(loop, [&] { return script.asked(0); });
  script.peers[0]->say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  run_until(loop, [&] { return out.has_value(); });
  EXPECT_EQ(as_text((*out)->body.view()), "ok");
  out.reset();
  one->send(get("/"), kLong, [&](Answer answer) { out = std::move(answer); });
  run_until(loop, [&] { return script.asked(0, 2); });
  script.peers[0]->say("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  run_until(loop, [&] { return script.peers[0]->received.ends_with("\r\n\r\n"); });
  TlsSocket::finish(std::move(script.peers[0]->socket));
  run_until(loop, [&] { return out.has_value(); });
  ASSERT_TRUE(out->has_value()) << out->error().error.text;
  EXPECT_EQ(as_text((*out)->body.view()), "until the end");
}

TEST_F(HttpsClientTest, AConnectionThatTheServerClosedIsNotUsedAgain) {
  open();
  const auto one = client(options());
  ASSERT_TRUE(ask(*one, get("/1")).has_value());
  server.reset();
  open();
  HttpsClient moved(loop, options(), pki.context("sae-a"));
  ASSERT_TRUE(ask(moved, get("/2")).has_value());
  const Answer gone = ask(*one, get("/3"));
  ASSERT_FALSE(gone.has_value());
  EXPECT_FALSE(gone.error().maybe_processed);
}

TEST_F(HttpsClientTest, NewCertificatesAreUsedAtOnce) {
  std::vector<std::string> askers;
  handler = [&](HttpRequest request, Responder responder) {
    askers.push_back(request.peer->common_name);
    echo(std::move(request), std::move(responder));
  };
  open();
  const auto one = client(options());
  ASSERT_TRUE(ask(*one, get("/")).has_value());
  one->set_context(pki.context("sae-new"), false);
  ASSERT_TRUE(ask(*one, get("/")).has_value());
  EXPECT_EQ(askers, (std::vector<std::string>{"sae-a", "sae-new"}));
}

// What it may not trust any more began under the old ones.
TEST_F(HttpsClientTest, AConnectionThatIsBeingMadeBeginsAnewWithNewCertificates) {
  std::vector<std::string> askers;
  handler = [&](HttpRequest request, Responder responder) {
    askers.push_back(request.peer->common_name);
    echo(std::move(request), std::move(responder));
  };
  open();
  const auto one = client(options());
  std::optional<Answer> out;
  one->send(get("/"), kLong, [&](Answer answer) { out = std::move(answer); });
  one->set_context(pki.context("sae-new"), false);
  run_until(loop, [&] { return out.has_value(); });
  EXPECT_TRUE(out->has_value());
  EXPECT_EQ(askers, std::vector<std::string>{"sae-new"});
}

// The same context but for what it trusts: only the caller knows that.
TEST_F(HttpsClientTest, WhoIsNotTrustedAnyMoreIsNotHeardOut) {
  std::optional<Responder> waiting;
  handler = [&](const HttpRequest&, Responder responder) { waiting = std::move(responder); };
  open();
  const auto one = client(options());
  std::optional<Answer> out;
  one->send(get("/"), kLong, [&](Answer answer) { out = std::move(answer); });
  run_until(loop, [&] { return waiting.has_value(); });
  one->set_context(pki.context("sae-a"), false);
  EXPECT_TRUE(waiting->wanted());
  one->set_context(pki.context("sae-a"), true);
  EXPECT_FALSE(out.has_value());  // never from within the call
  waiting->send({.status = 200, .content_type = "text/plain", .body = secret("too late")});
  run_until(loop, [&] { return out.has_value(); });
  ASSERT_FALSE(out->has_value());
  EXPECT_EQ(out->error().error.code, Errc::closed);
  EXPECT_TRUE(out->error().maybe_processed);
  EXPECT_TRUE(out->error().retryable);
  handler = echo;
  EXPECT_TRUE(ask(*one, get("/")).has_value());
}

TEST_F(HttpsClientTest, LinesCannotBeSmuggledIn) {
  open();
  const auto one = client(options());
  for (const std::string target : {"/ HTTP/1.1\r\nX: y", "/\n", "", "x", "/a b"}) {
    const Answer answer = ask(*one, get(target));
    ASSERT_FALSE(answer.has_value()) << target;
    EXPECT_EQ(answer.error().error.code, Errc::malformed);
    EXPECT_FALSE(answer.error().retryable);
  }
}

TEST_F(HttpsClientTest, MayBeDestroyedByItsHandlerAndDropsTheOthers) {
  open();
  auto one = client(options());
  int answers = 0;
  for (int i = 0; i < 10; ++i) {
    one->send(get("/"), kLong, [&](const Answer&) {
      ++answers;
      one.reset();
    });
  }
  run_until(loop, [&] { return one == nullptr; });
  run_until(loop, [&] { return server->connections() == 0; });
  EXPECT_EQ(answers, 1);
}

}  // namespace
}  // namespace quipu::net
