// SPDX-License-Identifier: Apache-2.0
#include "net/https_server.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <thread>

#include "base/unique_fd.h"
#include "https_fixture.h"
#include "net/sockaddr.h"

namespace quipu::net {
namespace {

using std::chrono::milliseconds;

class HttpsServerTest : public HttpsTest {
 protected:
  // Runs a foreign program against the server. Returns what it printed.
  std::string run_program(const std::string& command) {
    std::string output;
    bool ended = false;
    std::thread thread([&] {
      FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "re");
      std::array<char, 4096> chunk{};
      while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe))
        output.append(chunk.data(), n);
      ::pclose(pipe);
      loop.post([&] { ended = true; });
    });
    run_until(loop, [&] { return ended; });
    thread.join();
    return output;
  }

  std::string s_client(const std::string& options) {
    return run_program("openssl s_client -connect 127.0.0.1:" + std::to_string(server->local().port) + " -CAfile " +
                       pki.ca() + " " + options);
  }

  std::string curl(const TlsFiles& files, const std::string& options) {
    return run_program("curl -sS --max-time 50 --cacert " + files.ca + " --cert " + files.certificate + " --key " +
                       files.key + " " + options);
  }

  std::string url() const { return "https://127.0.0.1:" + std::to_string(server->local().port); }

  void expect_answer(RawClient& client) {
    client.received.clear();
    client.say("GET / HTTP/1.1\r\n\r\n");
    run_until(loop, [&] { return client.received.ends_with("GET / ") || client.closed; });
    EXPECT_FALSE(client.closed.has_value());
  }

  // The foreign program may have ended before its last words were read.
  void expect_refusal(Errc code) {
    run_until(loop, [&] { return !refused.empty(); }, "a refusal");
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_EQ(refused[0].code, code) << refused[0].text;
  }

  static std::string identified(const TlsFiles& files) { return "-cert " + files.certificate + " -key " + files.key; }
};

TEST_F(HttpsServerTest, AnswersGetAndPostAndTellsWhoAsks) {
  std::shared_ptr<const PeerIdentity> peer;
  handler = [&](HttpRequest request, Responder responder) {
    peer = request.peer;
    EXPECT_EQ(request.remote.address.text(), "127.0.0.1");
    echo(std::move(request), std::move(responder));
  };
  open();
  const auto client = raw();
  client->say("GET /a?b=%20c HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(loop, [&] { return client->received.ends_with("GET /a?b=%20c "); });
  EXPECT_EQ(client->received,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\nCache-Control: no-store\r\n\r\n"
            "GET /a?b=%20c ");
  client->received.clear();
  client->say("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
  run_until(loop, [&] { return client->received.ends_with("POST /p body"); });
  EXPECT_TRUE(peer->is("sae-a"));
  EXPECT_FALSE(client->closed.has_value());
  EXPECT_TRUE(refused.empty());
}

TEST_F(HttpsServerTest, TakesChunkedBodiesAndOctetsOneByOne) {
  open();
  const auto client = raw();
  const std::string_view request =
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  std::size_t at = 0;
  Callback<void()> next = [&] {
    if (at < request.size()) client->socket->write(secret(request.substr(at++, 1)), [&](auto) { next(); });
  };
  next();
  run_until(loop, [&] { return client->received.ends_with("POST /c abcde"); });
}

TEST_F(HttpsServerTest, AnswersMayComeLater) {
  std::vector<Responder> waiting;
  handler = [&](HttpRequest, Responder responder) { waiting.push_back(std::move(responder)); };
  open();
  const auto one = raw();
  const auto two = raw();
  one->say("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(loop, [&] { return waiting.size() == 1; });
  two->say("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(loop, [&] { return waiting.size() == 2; });
  EXPECT_TRUE(waiting[0].wanted());
  waiting[1].send({.status = 503, .content_type = "text/plain", .body = secret("no")});
  run_until(loop, [&] { return two->received.ends_with("no"); });
  EXPECT_TRUE(two->received.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_EQ(one->received, "");
  waiting[0].send({.status = 401, .content_type = {}, .body = {}});
  EXPECT_FALSE(waiting[0].wanted());
  run_until(loop, [&] { return one->received.ends_with("\r\n\r\n"); });
  EXPECT_EQ(one->received.find("Content-Type"), std::string::npos);
}

TEST_F(HttpsServerTest, AnUnansweredRequestIsOurFault) {
  handler = [](HttpRequest, const Responder&) {};
  open();
  const auto client = raw();
  client->say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(loop, [&] { return client->received.ends_with("not answered the request"); });
  EXPECT_TRUE(client->received.starts_with("HTTP/1.1 500 ")) << client->received;
}

TEST_F(HttpsServerTest, LearnsThatTheClientHasGone) {
  std::optional<Responder> waiting;
  handler = [&](HttpRequest, Responder responder) { waiting = std::move(responder); };
  open();
  auto client = raw();
  client->say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(loop, [&] { return waiting.has_value(); });
  client.reset();
  run_until(loop, [&] { return !waiting->wanted(); });
  waiting->send({});
  EXPECT_EQ(server->connections(), 0U);
}

TEST_F(HttpsServerTest, RefusesWhatIsNoHttp) {
  open();
  const std::string large(20'000, 'x');
  const std::pair<std::string, std::string_view> cases[] = {
      {"garbage\r\n\r\n", "400"},
      {std::string("\0\1\2\3\r\n\r\n", 8), "400"},
      {"GET / HTTP/9.9\r\n\r\n", "400"},
      {"GET  / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"GET /" + large + " HTTP/1.1\r\n\r\n", "431"},
      {"GET / HTTP/1.1\r\nX: " + large + "\r\n\r\n", "431"},
      {"POST / HTTP/1.1\r\nContent-Length: 262145\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\nabc", "400"},
  };
  handler = [](const HttpRequest& request, const Responder&) { ADD_FAILURE() << request.target; };
  std::size_t count = 0;
  for (const auto& [request, status] : cases) {
    const std::string answer = answer_to(request);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::string(status))) << request.substr(0, 100) << "\n" << answer;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    ASSERT_EQ(refused.size(), ++count);
    EXPECT_TRUE(answer.ends_with("\r\n\r\n" + refused.back().text)) << answer;
  }
  run_until(loop, [&] { return server->connections() == 0; });
}

TEST_F(HttpsServerTest, BodiesOverTheLimitWhileTheyArrive) {
  HttpsServerLimits limits;
  limits.max_body = 1000;
  open(limits);
  std::string request = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 11; ++i)
    request += "64\r\n" + std::string(100, 'x') + "\r\n";
  EXPECT_TRUE(answer_to(request).ends_with("HTTP body larger than 1000 octets"));
}

TEST_F(HttpsServerTest, SlowRequestsAndIdleConnectionsEnd) {
  open({.request_timeout = milliseconds(20)});
  const std::string late = answer_to("GET / HTTP/1.1\r\nHost: ");
  EXPECT_TRUE(late.starts_with("HTTP/1.1 408 ") && late.ends_with("did not arrive in time")) << late;
  open({.idle_timeout = milliseconds(20)});
  EXPECT_EQ(answer_to(""), "");
}

// The deadline has passed while "100 Continue" is still being written: there is no room for a second answer.
TEST_F(HttpsServerTest, ADeadlineWithinContinueEndsTheConnection) {
  open({.request_timeout = -std::chrono::seconds(1)});
  const std::string answer = answer_to("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(answer.find("200"), std::string::npos);
}

TEST_F(HttpsServerTest, KeepAliveFollowsTheRequest) {
  HttpsServerLimits limits;
  limits.max_requests_per_connection = 2;
  open(limits);
  EXPECT_TRUE(answer_to("GET /1 HTTP/1.1\r\nConnection: close\r\n\r\n").ends_with("GET /1 "));
  EXPECT_TRUE(answer_to("GET /1 HTTP/1.0\r\n\r\n").ends_with("GET /1 "));
  const auto client = raw();
  client->say("GET /1 HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return client->received.ends_with("GET /1 "); });
  EXPECT_EQ(client->received.find("close"), std::string::npos);
  client->say("GET /2 HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return client->closed.has_value(); });
  EXPECT_NE(client->received.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client->received.ends_with("GET /2 "));
}

TEST_F(HttpsServerTest, DoesNotPipeline) {
  open();
  const std::string answer = answer_to("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("GET /1 ")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

// Whoever holds connections without asking anything keeps nobody out.
TEST_F(HttpsServerTest, ANewcomerTakesThePlaceOfTheLongestIdle) {
  open({.max_connections = 2});
  const auto one = raw("sae-a");
  const auto two = raw("sae-b");
  one->say("GET /1 HTTP/1.1\r\n\r\n");  // two is now the one that has waited longer
  run_until(loop, [&] { return one->received.ends_with("GET /1 "); });
  const auto three = raw("sae-c");
  run_until(loop, [&] { return two->closed.has_value(); });
  EXPECT_FALSE(one->closed.has_value());
  expect_answer(*three);
  EXPECT_EQ(server->connections(), 2U);
  EXPECT_TRUE(refused.empty());
}

// Nor does one that is busy with all of its: it loses what it has more than the others, and gets no more.
TEST_F(HttpsServerTest, NobodyKeepsOutOthersByManyBusyConnections) {
  open({.max_connections = 4});
  std::vector<std::unique_ptr<RawClient>> many;
  for (int i = 0; i < 4; ++i) {
    many.push_back(raw("sae-m"));
    many.back()->say("G");
  }
  many.push_back(raw("sae-m"));
  run_until(loop, [&] { return many.back()->closed.has_value(); }, "the end of one too many");
  const auto one = raw("sae-a");
  expect_answer(*one);
  run_until(loop, [&] { return many.front()->closed.has_value(); }, "the oldest to be given up");
  many.push_back(raw("sae-m"));
  run_until(loop, [&] { return many.back()->closed.has_value(); }, "the end of one too many");
  expect_answer(*one);
  expect_answer(*raw("sae-b"));
  EXPECT_EQ(server->connections(), 4U);
  EXPECT_EQ(refused.size(), 4U);
}

// Half of them are a half, and not too much: neither takes a busy one from the other.
TEST_F(HttpsServerTest, NoBusyConnectionGivesWayToAnEqualShare) {
  open({.max_connections = 2});
  std::vector<Responder> waiting;
  handler = [&](HttpRequest, Responder responder) { waiting.push_back(std::move(responder)); };
  const auto one = raw("sae-a");
  const auto two = raw("sae-b");
  one->say("GET /1 HTTP/1.1\r\n\r\n");
  two->say("GET /2 HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return waiting.size() == 2; });
  for (const std::string name : {"sae-a", "sae-c"}) {
    const auto newcomer = raw(name);
    run_until(loop, [&] { return newcomer->closed.has_value(); });
  }
  EXPECT_TRUE(waiting[0].wanted() && waiting[1].wanted());
}

TEST_F(HttpsServerTest, StrangersGoFirst) {
  open({.max_connections = 2});
  const auto idle = raw("sae-a");
  const auto stranger = raw("stranger");
  stranger->say("G");
  const auto newcomer = raw("sae-a");
  run_until(loop, [&] { return stranger->closed.has_value(); });
  expect_answer(*idle);
  const auto another = raw("stranger");
  run_until(loop, [&] { return another->closed.has_value(); });
  expect_answer(*idle);
  expect_answer(*newcomer);
}

TEST_F(HttpsServerTest, StopsGracefully) {
  std::optional<Responder> waiting;
  handler = [&](HttpRequest, Responder responder) { waiting = std::move(responder); };
  open();
  const auto busy = raw();
  const auto idle = raw();
  busy->say("GET / HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return waiting.has_value(); });
  bool stopped = false;
  server->stop(std::chrono::minutes(1), [&] { stopped = true; });
  run_until(loop, [&] { return idle->closed.has_value(); });
  EXPECT_FALSE(stopped);
  waiting->send({.status = 200, .content_type = "text/plain", .body = secret("last")});
  run_until(loop, [&] { return stopped && busy->closed.has_value(); });
  EXPECT_TRUE(busy->received.ends_with("last"));
}

TEST_F(HttpsServerTest, GraceEnds) {
  std::optional<Responder> waiting;
  handler = [&](HttpRequest, Responder responder) { waiting = std::move(responder); };
  open();
  const auto busy = raw();
  busy->say("GET / HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return waiting.has_value(); });
  bool stopped = false;
  server->stop(milliseconds(5), [&] { stopped = true; });
  run_until(loop, [&] { return stopped && busy->closed.has_value(); });
  EXPECT_FALSE(waiting->wanted());
}

TEST_F(HttpsServerTest, MayBeDestroyedByItsHandler) {
  std::optional<Responder> late;
  handler = [&](HttpRequest, Responder responder) {
    server.reset();
    late = std::move(responder);
  };
  open();
  const auto client = raw();
  client->say("GET / HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return client->closed.has_value(); });
  EXPECT_FALSE(late->wanted());
  late->send({});
}

TEST_F(HttpsServerTest, ForeignClients) {
  open();
  const TlsFiles files = pki.issue("sae-x");
  EXPECT_EQ(curl(files, url() + "/one " + url() + "/two"), "GET /one GET /two ");
  EXPECT_EQ(curl(files, "-d hello " + url() + "/post"), "POST /post hello");
  EXPECT_EQ(curl(files, "-H 'Expect: 100-continue' -d hello " + url() + "/post"), "POST /post hello");
  EXPECT_EQ(curl(files, "-I -o /dev/null -w '%{http_code}' " + url() + "/head"), "200");
}

TEST_F(HttpsServerTest, WithoutAClientCertificateNothingIsAnswered) {
  handler = [](const HttpRequest&, const Responder&) { ADD_FAILURE(); };
  open();
  s_client("-tls1_3");
  expect_refusal(Errc::authentication);
  EXPECT_EQ(refused.at(0).text, "the peer sent no certificate");
}

TEST_F(HttpsServerTest, Tls12IsRefusedUnlessPermitted) {
  open();
  const std::string options = "-tls1_2 " + identified(pki.issue("sae-x"));
  s_client(options);
  expect_refusal(Errc::unsupported);
  server->set_context(pki.context("kme-a", {.allow_tls12 = true}), false);
  EXPECT_NE(s_client(options).find("Protocol  : TLSv1.2"), std::string::npos);
  EXPECT_EQ(refused.size(), 1U);
}

TEST_F(HttpsServerTest, ClassicalGroupsAreRefusedWhereTheHybridOneIsRequired) {
  open();
  const std::string options = "-tls1_3 -groups X25519 " + identified(pki.issue("sae-x"));
  server->set_context(pki.context("kme-a", {.require_hybrid = true}), false);
  s_client(options);
  expect_refusal(Errc::unsupported);
}

// Whoever was accepted before may not be any more: what was asked in full gets no key.
TEST_F(HttpsServerTest, DistrustEndsEveryConnection) {
  std::optional<Responder> waiting;
  handler = [&](HttpRequest, Responder responder) { waiting = std::move(responder); };
  open();
  const auto idle = raw();
  const auto half = raw();
  const auto busy = raw();
  half->say("GET /half HTTP/1.1\r\n");
  busy->say("GET / HTTP/1.1\r\n\r\n");
  run_until(loop, [&] { return waiting && server->connections() == 3; });
  server->set_context(pki.context("kme-a"), true);
  run_until(loop, [&] { return idle->closed && half->closed; });
  EXPECT_EQ(half->received, "");
  EXPECT_FALSE(waiting->wanted());
  waiting->send({.status = 200, .content_type = "text/plain", .body = secret("last")});
  run_until(loop, [&] { return busy->closed.has_value(); });
  EXPECT_TRUE(busy->received.starts_with("HTTP/1.1 503 ")) << busy->received;
  EXPECT_TRUE(busy->received.ends_with("connect again")) << busy->received;
  EXPECT_NE(busy->received.find("Connection: close"), std::string::npos);
  EXPECT_EQ(server->connections(), 0U);
}

TEST_F(HttpsServerTest, OtherCertificatesOfTheSameTrustDisturbNobody) {
  open();
  const auto before = raw();
  std::unique_ptr<RawClient> during;
  const TlsConnect connect(loop, pki.context("sae-a"), address(), "kme-a", std::chrono::seconds(30),
                           [&](auto socket) { during = std::make_unique<RawClient>(std::move(*socket)); });
  run_until(loop, [&] {
    server->set_context(pki.context("kme-a"), false);
    return during != nullptr;
  });
  for (const auto& client : {before.get(), during.get()}) {
    client->say("GET / HTTP/1.1\r\n\r\n");
    run_until(loop, [&] { return client->received.ends_with("GET / ") || client->closed; });
    EXPECT_FALSE(client->closed.has_value());
  }
  EXPECT_TRUE(refused.empty());
}

// Its verdict would be that of the context that it began under.
TEST_F(HttpsServerTest, DistrustEndsAHandshakeThatHasBegun) {
  open();
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress to = to_sockaddr(server->local());
  ASSERT_EQ(::connect(client.get(), to.get(), to.size), 0);
  const std::array<std::uint8_t, 5> head{22, 3, 1, 2, 0};  // of a record with 512 octets of a ClientHello
  ASSERT_EQ(::send(client.get(), head.data(), head.size(), MSG_NOSIGNAL), 5);
  run_until(loop, [&] {
    server->set_context(pki.context("kme-a"), true);
    return !refused.empty();
  });
  EXPECT_EQ(refused.at(0).code, Errc::closed) << refused.at(0).text;
}

TEST_F(HttpsServerTest, PlainTextIsToldApart) {
  open();
  run_program("curl -sS --max-time 50 http://127.0.0.1:" + std::to_string(server->local().port) + "/");
  expect_refusal(Errc::malformed);
}

}  // namespace
}  // namespace quipu::net
