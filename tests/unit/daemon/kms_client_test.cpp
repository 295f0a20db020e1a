// SPDX-License-Identifier: Apache-2.0
#include "daemon/kms_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/unique_fd.h"
#include "net/sockaddr.h"
#include "test_kms.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

// Whoever connects is taken by the kernel and then hears nothing: a KMS behind a firewall that drops, or one that
// hangs.
class BlackHole {
 public:
  BlackHole() : m_socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const net::SocketAddress at = net::to_sockaddr({*IpAddress::parse("127.0.0.1"), 0, 0});
    EXPECT_EQ(::bind(m_socket.get(), at.get(), at.size), 0);
    EXPECT_EQ(::listen(m_socket.get(), 64), 0);
  }

  std::uint16_t port() const { return net::local_endpoint(m_socket.get()).value_or(Endpoint{}).port; }

  int connections() {
    while (UniqueFd one{::accept4(m_socket.get(), nullptr, nullptr, SOCK_CLOEXEC)})
      ++m_connections;
    return m_connections;
  }

 private:
  UniqueFd m_socket;
  int m_connections = 0;
};

class KmsClientTest : public testing::Test {
 protected:
  // Of a KMS that hangs.
  KmsClient client(const net::HttpsClientOptions& limits) {
    KmsSettings settings = m_kms.settings_for("sae-a");
    settings.config.url.server = {.host = "127.0.0.1", .port = m_hole.port()};
    return {m_loop, settings, limits};
  }

  static void ask(KmsClient& client, std::optional<Errc>& answer) {
    client.fetch_fresh(SaeId("sae-b"), 10min, [&answer](Result<FetchedKey> key) {
      ASSERT_FALSE(key.has_value());
      answer = key.error().code;
    });
  }

  net::Loop m_loop;
  TestKms m_kms{m_loop};
  BlackHole m_hole;
};

TEST_F(KmsClientTest, WaitsOnceForAKmsThatHangs) {
  KmsClient asking = client({.connect_timeout = 20ms});
  std::optional<Errc> answer;
  ask(asking, answer);
  run_until(m_loop, [&] { return answer.has_value(); }, "an answer");
  EXPECT_EQ(answer, Errc::timeout);
  EXPECT_EQ(m_hole.connections(), 1);
}

TEST_F(KmsClientTest, WhatItsQueueHasNoRoomForIsToldAtOnce) {
  KmsClient asking = client({.max_connections = 1, .max_waiting = 1, .connect_timeout = 10min});
  std::optional<Errc> waits;
  std::optional<Errc> answer;
  ask(asking, waits);
  ask(asking, answer);
  bool turned = false;
  m_loop.post([&] { turned = true; });
  run_until(m_loop, [&] { return turned; }, "the loop's next turn");
  EXPECT_EQ(answer, Errc::busy);
  EXPECT_EQ(waits, std::nullopt);
}

// Two KMEs of one site that hold the same keys' other ends, or none.
class FailoverTest : public testing::Test {
 protected:
  using Key = Result<FetchedKey>;

  // KME `a` first, `b` standing by: both have certificates of the authority of `a`.
  std::unique_ptr<KmsClient> client(std::uint16_t first, std::uint16_t second) {
    KmsSettings settings = m_a.settings_for("sae-a");
    settings.config.url.server.port = first;
    settings.config.standby_urls = {settings.config.url};
    settings.config.standby_urls[0].server.port = second;
    return std::make_unique<KmsClient>(m_loop, settings);
  }

  std::unique_ptr<KmsClient> client() { return client(m_a.port(), m_b.port()); }

  Key fresh(KmsClient& from) {
    std::optional<Key> answer;
    from.fetch_fresh(SaeId("sae-b"), 10s, [&](Key key) { answer = std::move(key); });
    run_until(m_loop, [&] { return answer.has_value(); }, "a fresh key");
    return *std::move(answer);
  }

  Key named(KmsClient& from, const KeyId& id) {
    std::optional<Key> answer;
    from.fetch_named(SaeId("sae-b"), id, 10s, [&](Key key) { answer = std::move(key); });
    run_until(m_loop, [&] { return answer.has_value(); }, "a named key");
    return *std::move(answer);
  }

  net::Loop m_loop;
  TestKms m_a{m_loop};
  TestKms m_b{m_loop, m_a};
  BlackHole m_hole;
};

TEST_F(FailoverTest, TheFirstKmeIsAskedWhileItWorks) {
  const auto asking = client();
  EXPECT_TRUE(fresh(*asking).has_value());
  EXPECT_TRUE(fresh(*asking).has_value());
  EXPECT_EQ(m_a.enc_calls, 2U);
  EXPECT_EQ(m_b.enc_calls, 0U);
}

// Its certificate may be the one that was revoked: what it still says is not taken.
TEST_F(FailoverTest, AKmeThatIsAskedWhileOthersComeToBeTrustedIsNotHeardOut) {
  const auto asking = client();
  m_a.hold = true;
  std::optional<Key> answer;
  asking->fetch_fresh(SaeId("sae-b"), 10s, [&](Key key) { answer = std::move(key); });
  run_until(m_loop, [&] { return m_a.held() == 1; }, "the question");
  KmsSettings settings = m_a.settings_for("sae-a");
  settings.tls.certificate[0] ^= 1;
  EXPECT_TRUE(asking->set_tls(settings));
  EXPECT_FALSE(answer.has_value());
  settings.tls.trust[0] ^= 1;
  EXPECT_TRUE(asking->set_tls(settings));
  m_a.release();
  run_until(m_loop, [&] { return answer.has_value(); }, "the answer");
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(m_b.enc_calls, 1U);
}

TEST_F(FailoverTest, AnotherGivesWhatTheFirstHasNotAndTheFirstIsLeftForAWhile) {
  const auto asking = client();
  for (const unsigned status : {503U, 500U, 401U}) {
    m_a.refusal = etsi::ApiError{status, "no", {}};
    EXPECT_TRUE(fresh(*asking).has_value()) << status;
  }
  EXPECT_EQ(m_a.enc_calls, 1U);
  EXPECT_EQ(m_b.enc_calls, 3U);
}

TEST_F(FailoverTest, NobodyListensAtTheFirst) {
  const auto asking = client();
  m_a.stop();
  EXPECT_TRUE(fresh(*asking).has_value());
}

TEST_F(FailoverTest, AKmeThatHangsIsGivenUp) {
  const auto asking = client(m_hole.port(), m_b.port());
  EXPECT_TRUE(fresh(*asking).has_value());
  EXPECT_TRUE(fresh(*asking).has_value());
  EXPECT_EQ(m_hole.connections(), 1);
}

TEST_F(FailoverTest, ALostReplyIsNeverAskedForAgain) {
  const auto asking = client();
  m_a.hold = true;
  ASSERT_TRUE(fresh(*asking).has_value());
  EXPECT_EQ(m_a.held(), 1U);
  EXPECT_EQ(m_b.enc_calls, 1U);
}

TEST_F(FailoverTest, ANamedKeyIsLookedForAtEveryKme) {
  const auto asking = client();
  const auto other = client(m_b.port(), m_a.port());
  const Key key = fresh(*other);
  ASSERT_TRUE(key.has_value());
  const Key fetched = named(*asking, key->id);
  ASSERT_TRUE(fetched.has_value()) << fetched.error().text;
  EXPECT_TRUE(fetched->key == key->key);
  EXPECT_EQ(m_a.dec_calls, 2U) << "by POST and by GET, for neither has worked yet";
}

TEST_F(FailoverTest, AKeyThatOneKmeDoesNotKnowIsUnknownThoughAnotherIsInTrouble) {
  const auto asking = client();
  for (TestKms* broken : {&m_a, &m_b}) {
    m_a.refusal = m_b.refusal = std::nullopt;
    broken->refusal = etsi::ApiError{500, "no", {}};
    const Key key = named(*asking, KeyId("11111111-2222-4333-8444-555555555555"));
    ASSERT_FALSE(key.has_value());
    EXPECT_EQ(key.error().code, Errc::not_found) << key.error().text;
  }
}

TEST_F(FailoverTest, WhereNoneGivesAKeyTheFirstOnesReasonIsTold) {
  const auto asking = client();
  m_a.refusal = etsi::ApiError{503, "no key", {}};
  m_b.refusal = etsi::ApiError{500, "trouble", {}};
  const Key key = fresh(*asking);
  ASSERT_FALSE(key.has_value());
  EXPECT_EQ(key.error(), (Error{Errc::exhausted, "https://127.0.0.1:" + std::to_string(m_a.port()) +
                                                     ": KME answered HTTP 503: no key"}));
}

class MethodTest : public FailoverTest {
 protected:
  std::unique_ptr<KmsClient> client(config::KmsMethod method = config::KmsMethod::automatic) {
    KmsSettings settings = m_a.settings_for("sae-a");
    settings.config.method = method;
    return std::make_unique<KmsClient>(m_loop, settings);
  }
};

TEST_F(MethodTest, AKmeThatTakesGetOnlyIsFoundOutOnce) {
  for (const unsigned status : {400U, 404U, 405U, 501U}) {
    m_a.only_method = "GET";
    m_a.method_refusal = etsi::ApiError{status, "", {}};
    m_a.enc_calls = m_a.dec_calls = 0;
    const auto asking = client();
    for (int i = 0; i < 2; ++i) {
      const Key key = fresh(*asking);
      ASSERT_TRUE(key.has_value()) << status << key.error().text;
      EXPECT_TRUE(named(*asking, key->id).has_value()) << status;
    }
    EXPECT_EQ(m_a.enc_calls, 3U) << status;
    EXPECT_EQ(m_a.dec_calls, 3U) << status;
  }
}

TEST_F(MethodTest, WhatPostWasAnsweredIsToldWhereGetIsNotTaken) {
  m_a.only_method = "POST";
  const auto asking = client();
  const Key key = named(*asking, KeyId("11111111-2222-4333-8444-555555555555"));
  ASSERT_FALSE(key.has_value());
  EXPECT_EQ(key.error().code, Errc::not_found) << key.error().text;
}

TEST_F(MethodTest, TheConfiguredOneIsTheOnlyOne) {
  m_a.only_method = "POST";
  EXPECT_FALSE(fresh(*client(config::KmsMethod::get)).has_value());
  EXPECT_EQ(m_a.enc_calls, 1U);
  m_a.only_method = "GET";
  EXPECT_FALSE(fresh(*client(config::KmsMethod::post)).has_value());
  EXPECT_EQ(m_a.enc_calls, 2U);
}

}  // namespace
}  // namespace quipu::daemon
