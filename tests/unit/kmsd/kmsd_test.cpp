// SPDX-License-Identifier: Apache-2.0
#include "kmsd/kmsd.h"

#include "support/file_size_limit.h"
#include "unit/kmsd/kmsd_fixture.h"

namespace quipu::kmsd {
namespace {

TEST_F(KmsdTest, SaysThatNoInterfaceHasTheAddressToListenOn) {
  EXPECT_TRUE(sink.values("listen_address_absent", "address").empty());
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  values.km_link.listen = {*IpAddress::parse("192.0.2.77"), 0};  // RFC 5737: for documentation
  start(std::move(values));
  const auto absent = sink.values("listen_address_absent", "address");
  ASSERT_EQ(absent.size(), 1U);
  EXPECT_TRUE(absent[0].starts_with("192.0.2.77:")) << absent[0];
}

TEST_F(KmsdTest, SaysThatItsCertificateIsOver) {
  EXPECT_EQ(sink.count("certificate_over"), 0U);
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  values.etsi014.tls.cert.name = pki.issue_expired("kme-b-old").certificate;
  values.etsi014.tls.key.name = pki.path("kme-b-old.key");
  start(std::move(values));
  EXPECT_EQ(sink.values("certificate_over", "setting"), std::vector<std::string>{"etsi014.cert"});
}

TEST_F(KmsdTest, SaysThatItsCertificateIsNotValidYet) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  const WallTime now = service::wall_now();
  values.etsi014.tls.cert.name =
      pki.issue("kme-b-new", {now + std::chrono::hours(1), now + std::chrono::hours(2)}).certificate;
  values.etsi014.tls.key.name = pki.path("kme-b-new.key");
  start(std::move(values));
  EXPECT_EQ(sink.values("certificate_not_yet", "setting"), std::vector<std::string>{"etsi014.cert"});
}

TEST_F(KmsdTest, SaysThatItsCertificateIsRevoked) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  pki.write("crl.pem", pki.list_of({"kme-b"}));
  values.km_link.tls.crl.name = pki.path("crl.pem");
  start(std::move(values));
  EXPECT_EQ(sink.values("certificate_revoked", "setting"), std::vector<std::string>{"km_link.cert"});
}

TEST_F(KmsdTest, AnSaeGetsAKeyAndThePeerItsBinding) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys);
  run_until(loop, [&] { return client->received.find("key_ID") != std::string::npos; });
  EXPECT_THAT(client->received, testing::StartsWith("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
  exchange_ping(*peer);
  ASSERT_EQ(peer->heard<wire::Binding>().size(), 1U);
  EXPECT_EQ(peer->heard<wire::Binding>()[0].master, SaeId("sae-b"));
}

TEST_F(KmsdTest, WhatWasHandedOutIsInTheAuditLogWhenTheDaemonHasEnded) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys);
  run_until(loop, [&] { return client->received.find("key_ID") != std::string::npos; });
  const std::string key_id = client->received.substr(client->received.find("key_ID\":\"") + 9, 36);
  daemon.reset();
  const auto pages = open_store()->audit().read(0, SIZE_MAX);
  ASSERT_TRUE(pages.has_value());
  std::string text;
  for (const store::AuditPage& page : *pages)
    text += page.text;
  EXPECT_THAT(text, testing::MatchesRegex(".*\"started\".*\"enc_keys\".*" + key_id + ".*\"stopped\".*"));
}

// An orderly end closes the leases, durably.
TEST_F(KmsdTest, AnEndThatCouldNotBeWrittenDownIsNoOrderlyOne) {
  const auto peer = connect_leased_peer();
  ASSERT_EQ(::raise(SIGTERM), 0);
  {
    const test::FileSizeLimit limit(0);
    loop.run();
  }
  ASSERT_TRUE(daemon->failure().has_value());
  EXPECT_THAT(daemon->failure()->text, testing::HasSubstr("kms.db"));
  EXPECT_TRUE(daemon->is_stopping());
}

TEST_F(KmsdTest, ADriversMessagesWaitForAPeerThatDoesNotRead) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  config::LinkConfig& link = values.links.emplace_back();
  link.name = "a-b";
  link.peer_kme = KmeId("kme-a");
  link.driver = "test";
  link.allow_simulated = true;
  link.options = {{"mode", "answer"}, {"messages", "4000000000"}};
  start(std::move(values));
  run_until(loop, [&] { return sink.count("driver_running") == 1; });
  const auto peer = connect_leased_peer();
  peer->say(wire::DriverMessage{"a-b", net::secret("?")});
  run_both_until([&] { return !peer->numbers().empty(); });
  // Now only the daemon runs. From its last word on, nothing but the KM link moves what the driver had to say.
  const auto said = [&] { return sink.values("driver_log", "text"); };
  run_until(loop, [&] { return !said().empty() || sink.count("km_link_down") > 0; });
  ASSERT_EQ(sink.count("km_link_down"), 0U);
  const std::size_t all = std::stoul(said().at(0).substr(std::string_view("said ").size()));
  run_both_until([&] { return peer->numbers().size() == all || peer->closed() || sink.count("driver_ended") > 0; });
  ASSERT_EQ(peer->numbers().size(), all);
  for (std::size_t i = 0; i < all; ++i)
    EXPECT_EQ(peer->numbers()[i], i);
}

TEST_F(KmsdTest, NoKeyIsSpentOnAClientThatHasGone) {
  const auto peer = connect_peer();
  auto client = connect_sae();
  client->say(kEncKeys);
  answer_another_client();
  client.reset();
  answer_another_client();
  acknowledge_leases(*peer);
  exchange_ping(*peer);
  EXPECT_TRUE(peer->heard<wire::Binding>().empty());
}

TEST_F(KmsdTest, AfterARollbackOfTheMachineNoKeyIsHandedOut) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys.substr(0, 20));
  answer_another_client();
  machine->vm_generation = 1;
  client->say(kEncKeys.substr(20));
  run_until(loop, [&] { return daemon->failure().has_value(); });
  ASSERT_TRUE(daemon->failure());
  EXPECT_EQ(daemon->failure()->code, Errc::conflict);
  daemon.reset();
  run_until(loop, [&] { return client->closed.has_value(); });
  EXPECT_EQ(client->received.find("key"), std::string::npos) << "an answer with a key";
}

// With the KM link go the hopes of a large request, and the small one behind it is next.
TEST_F(KmsdTest, AfterARollbackOfTheMachineTheEndOfTheKmLinkHandsOutNoKey) {
  auto peer = connect_leased_peer();
  std::unique_ptr<RawClient> large;
  std::unique_ptr<RawClient> small;
  do {  // again where this machine was so slow that the large one has waited long enough
    large = connect_sae();
    small = connect_sae();
    large->say(kManyEncKeys);
    answer_another_client();
    small->say(kEncKeys);
    answer_another_client();
  } while (!large->received.empty());
  machine->vm_generation = 1;
  peer.reset();
  run_until(loop, [&] { return daemon->failure().has_value(); });
  daemon.reset();
  run_until(loop, [&] { return small->closed.has_value(); });
  EXPECT_EQ(small->received.find("key"), std::string::npos) << "an answer with a key";
}

TEST_F(KmsdTest, WithoutKnowingTheMachineNoKeyIsHandedOut) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys.substr(0, 20));
  answer_another_client();
  machine = fail(Errc::io, "no boot id");
  client->say(kEncKeys.substr(20));
  run_until(loop, [&] { return daemon->failure().has_value(); });
  ASSERT_TRUE(daemon->failure());
  EXPECT_NE(daemon->failure()->text.find("no boot id"), std::string::npos);
  daemon.reset();
  run_until(loop, [&] { return client->closed.has_value(); });
  EXPECT_EQ(client->received.find("key"), std::string::npos) << "an answer with a key";
}

// A body is announced that would fill memory, and none of it sent: the answer is there at once.
TEST_F(KmsdTest, AStrangersBodyIsNotWaitedFor) {
  constexpr std::string_view kHead =
      "POST /api/v1/keys/sae-a/enc_keys HTTP/1.1\r\nHost: kme\r\nContent-Type: application/json\r\n"
      "Content-Length: 200000\r\n\r\n";
  const auto stranger = connect_sae("sae-x");
  stranger->say(kHead);
  run_until(loop, [&] { return stranger->closed.has_value(); });
  EXPECT_TRUE(stranger->received.starts_with("HTTP/1.1 401")) << stranger->received;
  const auto known = connect_sae();
  known->say(kHead);
  answer_another_client();
  EXPECT_EQ(known->received, "");
  EXPECT_EQ(sink.values("sae_unknown", "error").size(), 1U);
}

// ETSI GS QKD 014 clause 6.5 has a message with each error, also with what HTTP itself refuses.
TEST_F(KmsdTest, WhatIsNoHttpGetsAMessage) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"GET /\r\n\r\n", "400 Bad Request"},
      {"POST /api/v1/keys/sae-a/enc_keys HTTP/1.1\r\nContent-Length: 262145\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n", "431 Request Header Fields Too Large"},
  };
  for (const auto& [request, status] : cases) {
    const auto client = connect_sae();
    client->say(request);
    run_until(loop, [&] { return client->closed.has_value(); });
    EXPECT_THAT(
        client->received,
        testing::AllOf(testing::StartsWith(fmt::format("HTTP/1.1 {}\r\nContent-Type: application/json\r\n", status)),
                       testing::HasSubstr("\r\n\r\n{\"message\":\"")));
  }
  EXPECT_THAT(ask_control(control::StatusRequest{}), testing::HasSubstr("\"400\":2"));
}

// Whoever has a certificate of ours and is no SAE of this KME may ask as often as he likes: there is one line.
TEST_F(KmsdTest, AnUnknownSaeDoesNotFillTheLog) {
  for (int i = 0; i < 3; ++i) {
    const auto stranger = connect_sae("sae-x");
    stranger->say(kStatus);
    run_until(loop, [&] { return stranger->received.starts_with("HTTP/1.1 401"); });
  }
  ASSERT_EQ(sink.values("sae_unknown", "error").size(), 1U);
  EXPECT_THAT(sink.values("sae_unknown", "error")[0], testing::HasSubstr("of quipu:sae-x"));
}

// Of the new identity nothing is shown before the restart that makes it ours: the other KME knows the old one.
TEST_F(KmsdTest, AReloadWithAnotherIdKeepsTheCertificateOfTheOldOne) {
  pki.issue("kme-c");
  reload("kme-c", "");
  EXPECT_THAT(sink.values("reloaded", "changed").at(0), testing::Not(testing::HasSubstr("km_link certificates")));
  EXPECT_THAT(sink.values("reloaded", "needs_restart").at(0),
              testing::AllOf(testing::HasSubstr("kme.id"), testing::HasSubstr("km_link certificates")));
  ASSERT_FALSE(testing::Test::HasFailure());
  connect_peer();  // which expects "kme-b"
}

// Whoever is revoked, or came by an old TLS, is cut off at once; nobody is by a reload that changes nothing of it.
TEST_F(KmsdTest, AReloadThatTrustsOthersEndsConnections) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  values.etsi014.allow_tls12 = true;
  start(std::move(values));
  const auto client = connect_sae();
  reload("kme-b", "min_tls_version = \"1.2\"\n");
  answer_another_client();
  EXPECT_FALSE(client->closed.has_value());
  reload("kme-b", "");
  EXPECT_EQ(sink.values("reloaded", "changed").back(), "etsi014.min_tls_version (connections ended)");
  run_until(loop, [&] { return client->closed.has_value(); });
  const auto revoked = connect_sae("sae-b");
  pki.write("crl.pem", pki.list_of({"sae-b"}));
  reload("kme-b", fmt::format("crl = \"{}\"\n", pki.path("crl.pem")));
  EXPECT_EQ(sink.values("reloaded", "changed").back(), "etsi014 certificates (connections ended)");
  run_until(loop, [&] { return revoked->closed.has_value(); });
}

TEST_F(KmsdTest, AConfigurationThatCannotBeReadIsRefused) {
  scratch.write("kms.toml", "[kme]\nid = 7\n");
  ASSERT_EQ(::raise(SIGHUP), 0);
  run_until(loop, [&] { return sink.count("reload_refused") == 1; });
  EXPECT_THAT(sink.values("reload_refused", "error").at(0), testing::HasSubstr("kms.toml:2:"));
}

TEST_F(KmsdTest, EveryFileThatIsWrongIsToldAtItsKey) {
  const net::TlsFiles good = pki.issue("kme-c");
  const std::string file = scratch.write(
      "wrong.toml", fmt::format("[kme]\nid = \"kme-b\"\nstore_key_file = \"/none/store.key\"\n"
                                "[etsi014]\nca = \"{0}\"\ncert = \"{1}\"\nkey = \"/none/etsi.key\"\n"
                                "[km_link]\nlisten = \"127.0.0.1:8020\"\nca = \"{0}\"\ncert = \"{1}\"\nkey = \"{2}\"\n",
                                good.ca, good.certificate, good.key));
  const auto refused = load_configuration(file);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::malformed);
  EXPECT_THAT(refused.error().text,
              testing::MatchesRegex(file + ":2:1: kme.id: \"kme-b\" is not named by the certificate of km_link .*\n" +
                                    file + ":3:1: kme.store_key_file: /none/store.key: No such file or directory\n" +
                                    file + ":7:1: etsi014.key: /none/etsi.key: No such file or directory"));
}

// The other KME would refuse us, and only its log would tell.
TEST_F(KmsdTest, AnOwnIdThatTheCertificateDoesNotNameIsRefused) {
  config::KmsdConfig values = configuration_values();
  values.kme.id = KmeId("kme-c");
  values.kme.id_position = {2, 1};
  const auto refused = load_named_files("kms.toml", std::move(values));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::malformed);
  EXPECT_THAT(refused.error().text,
              testing::AllOf(testing::StartsWith("kms.toml:2:1: kme.id: \"kme-c\" is not named by"),
                             testing::HasSubstr("kme-b.pem"), testing::HasSubstr("\"kme-b\""),
                             testing::HasSubstr("quipu pki issue")));
}

}  // namespace
}  // namespace quipu::kmsd
