// SPDX-License-Identifier: Apache-2.0
// What the ETSI 014 server makes of a client's certificate that ends while its connection stands.
#include "kmsd/etsi_server.h"

#include <gmock/gmock.h>

#include "kms/request_rules.h"
#include "support/recorded_log.h"
#include "unit/net/https_fixture.h"

namespace quipu::kmsd {
namespace {

using net::RawClient;
using test::run_until;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::string_view kEncKeys = "GET /api/v1/keys/sae-a/enc_keys HTTP/1.1\r\nHost: kme\r\n\r\n";

class EtsiServerTest : public ::testing::Test {
 protected:
  EtsiServerTest() {
    config::Etsi014Config config{.listen = net::kLoopback, .tls = {}};
    auto opened = EtsiServer::open(
        loop, config, {{.id = SaeId("sae-b")}}, pki.context("kme-b"),
        [this](kms::RequestId id, const SaeId&, const etsi::Call&) { calls.push_back(id); }, log,
        [this] { return wall_now; });
    EXPECT_TRUE(opened.has_value());
    server = std::move(*opened);
    const net::TlsConnect connect(loop, pki.context("sae-b"), {"127.0.0.1", server->local().port}, "kme-b",
                                  std::chrono::seconds(30),
                                  [&](auto socket) { client = std::make_unique<RawClient>(std::move(*socket)); });
    run_until(loop, [&] { return client != nullptr; });
  }

  void ask() {
    client->received.clear();
    client->say(kEncKeys);
  }

  void wait_for_answer() {
    run_until(loop, [&] { return client->received.find("\r\n\r\n") != std::string::npos; });
  }

  net::TestPki pki;
  net::Loop loop;
  test::RecordedLog log;
  WallTime wall_now = service::wall_now();
  std::vector<kms::RequestId> calls;
  std::unique_ptr<EtsiServer> server;
  std::unique_ptr<RawClient> client;
};

TEST_F(EtsiServerTest, AKeptConnectionServesNoLongerThanItsCertificate) {
  ask();
  run_until(loop, [&] { return calls.size() == 1; });
  server->reply(calls[0], kms::unavailable("no key"));
  wait_for_answer();
  EXPECT_THAT(client->received, StartsWith("HTTP/1.1 503"));
  wall_now = pki.end() + std::chrono::seconds(1);
  for (int i = 0; i < 2; ++i) {
    ask();
    wait_for_answer();
    EXPECT_THAT(client->received, StartsWith("HTTP/1.1 401"));
  }
  EXPECT_EQ(calls.size(), 1U);
  EXPECT_EQ(server->refused_connections(), 0U) << "requests were";
  EXPECT_THAT(log.values("sae_unknown", "error"), ElementsAre(HasSubstr("has ended since")));
}

// Nor does it serve a request that came before the end, and waits for keys.
TEST_F(EtsiServerTest, ARequestThatWaitsIsAbandonedWhenTheCertificateEnds) {
  ask();
  run_until(loop, [&] { return calls.size() == 1; });
  EXPECT_THAT(server->take_abandoned(), IsEmpty());
  wall_now = pki.end() + std::chrono::seconds(1);
  EXPECT_THAT(server->take_abandoned(), ElementsAre(calls[0]));
  EXPECT_THAT(server->take_abandoned(), IsEmpty());
  server->reply(calls[0], etsi::KeyContainer{});
  wait_for_answer();
  EXPECT_THAT(client->received, StartsWith("HTTP/1.1 401"));
}

}  // namespace
}  // namespace quipu::kmsd
