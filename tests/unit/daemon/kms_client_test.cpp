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

}  // namespace
}  // namespace quipu::daemon
