// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "net/sockaddr.h"
#include "net/tls_socket.h"
#include "tls_link.h"

namespace quipu::net {
namespace {

TEST(TlsContext, EveryFileThatIsWrongIsTold) {
  using enum TlsFault::File;
  const TestPki pki;
  const TlsFiles good = pki.issue("a");
  const auto at_fault = [](const TlsFiles& files) {
    std::vector<TlsFault::File> out;
    const auto context = TlsContext::load(files);
    for (const TlsFault& fault : context ? std::vector<TlsFault>{} : context.error())
      out.push_back(fault.file);
    return out;
  };
  using Faults = std::vector<TlsFault::File>;
  EXPECT_EQ(at_fault({"/none/ca", "/none/cert", "/none/key"}), (Faults{ca, certificate, key}));
  EXPECT_EQ(at_fault({good.ca, "/none/cert", good.key}), Faults{certificate});
  EXPECT_EQ(at_fault({"/none/ca", good.certificate, pki.issue("b").key}), (Faults{ca, key}));
  EXPECT_EQ(at_fault(good), Faults{});
}

Error load_error(const TlsFiles& files) {
  const auto context = TlsContext::load(files);
  EXPECT_FALSE(context.has_value());
  return context ? Error{Errc::io, {}} : context.error().front().error;
}

TEST(TlsContext, KnowsItsOwnCertificate) {
  const TestPki pki;
  const auto context = pki.context("sae-a");
  EXPECT_EQ(context->own().names(), (std::vector<std::string>{"quipu:sae-a", "localhost", "sae-a"}));
  EXPECT_TRUE(context->own().is("sae-a"));
  EXPECT_FALSE(context->own().is("sae"));
  EXPECT_FALSE(context->own().is(""));
  EXPECT_GT(context->own().not_after, context->own().not_before + std::chrono::days(700));
}

TEST(TlsContext, TheCommonNameCountsOnlyWithoutOtherNames) {
  const TestPki pki;
  const auto names_of = [&](const crypto::CertificateNames& names) {
    return TestPki::load(pki.issue_named("named", names))->own().names();
  };
  const std::vector<IpAddress> address{IpAddress::from_octets(Bytes{127, 0, 0, 1})};
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_of({.common_name = "kme-b", .uris = {}, .dns = {}, .addresses = address}), Names{"kme-b"});
  EXPECT_EQ(names_of({.common_name = "kme-b", .uris = {}, .dns = {"other"}, .addresses = {}}), Names{"other"});
  EXPECT_EQ(names_of({.common_name = "kme-b", .uris = {"urn:x"}, .dns = {}, .addresses = {}}), Names{"urn:x"});
}

TEST(TlsContext, ARuleSaysWhereTheIdStands) {
  const TestPki pki;
  const auto own =
      TestPki::load(
          pki.issue_named("named",
                          {.common_name = "cn", .uris = {"urn:sae"}, .dns = {"dns-1", "dns-2"}, .addresses = {}}))
          ->own();
  using Names = std::vector<std::string>;
  EXPECT_EQ(own.names(NameRule::san_or_common_name), (Names{"urn:sae", "dns-1", "dns-2"}));
  EXPECT_EQ(own.names(NameRule::uri_san), Names{"urn:sae"});
  EXPECT_EQ(own.names(NameRule::dns_san), (Names{"dns-1", "dns-2"}));
  EXPECT_EQ(own.names(NameRule::common_name), Names{"cn"});
}

TEST(TlsContext, KnowsWhatTheTrustedFileHolds) {
  const TestPki pki;
  const TestPki others("another CA");
  const TlsFiles own = pki.issue("a");
  const auto good = pki.context("a");
  EXPECT_TRUE(good->trusts_an_authority());
  EXPECT_TRUE(good->trusts_itself());
  EXPECT_TRUE(TestPki::load(pki.issue_expired("old"))->trusts_itself());
  const auto of_another = TestPki::load({others.ca(), own.certificate, own.key});
  EXPECT_TRUE(of_another->trusts_an_authority());
  EXPECT_FALSE(of_another->trusts_itself());
  EXPECT_FALSE(TestPki::load({pki.issue("b").certificate, own.certificate, own.key})->trusts_an_authority());
}

// A FIFO would hold up the daemon at a reload for as long as nobody writes into it.
TEST(TlsContext, ReadsRegularFilesOnly) {
  const TestPki pki;
  const TlsFiles good = pki.issue("a");
  const std::string fifo = pki.path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const TlsFiles& files : {TlsFiles{fifo, good.certificate, good.key}, TlsFiles{good.ca, fifo, good.key},
                                TlsFiles{good.ca, good.certificate, fifo}})
    EXPECT_EQ(load_error(files).text, fifo + ": not a regular file");
}

TEST(TlsContext, APrivateKeyIsNotForEverybodysEyes) {
  const TestPki pki;
  const TlsFiles files = pki.issue("a");
  ASSERT_EQ(::chmod(files.key.c_str(), 0640), 0);
  EXPECT_TRUE(TlsContext::load(files).has_value());
  for (const mode_t open_to_all : {0604U, 0602U, 0644U}) {
    ASSERT_EQ(::chmod(files.key.c_str(), open_to_all), 0);
    const Error error = load_error(files);
    EXPECT_EQ(error.code, Errc::not_permitted);
    EXPECT_NE(error.text.find(files.key), std::string::npos) << error.text;
  }
}

TEST(TlsContext, ErrorsNameTheFile) {
  const TestPki pki;
  const TlsFiles good = pki.issue("a");
  const TlsFiles other = pki.issue("b");
  pki.write("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  pki.write("empty", "");
  const auto expect = [](const TlsFiles& files, Errc code, const std::string& file) {
    const Error error = load_error(files);
    EXPECT_EQ(error.code, code) << error.text;
    EXPECT_NE(error.text.find(file), std::string::npos) << error.text;
  };
  expect({pki.path("none"), good.certificate, good.key}, Errc::io, pki.path("none"));
  expect({good.ca, pki.path("none"), good.key}, Errc::io, pki.path("none"));
  expect({good.ca, good.certificate, pki.path("none")}, Errc::io, pki.path("none"));
  expect({pki.path("garbage"), good.certificate, good.key}, Errc::malformed, pki.path("garbage"));
  expect({good.ca, pki.path("garbage"), good.key}, Errc::malformed, pki.path("garbage"));
  expect({good.ca, pki.path("empty"), good.key}, Errc::malformed, pki.path("empty"));
  expect({good.ca, good.certificate, pki.path("empty")}, Errc::malformed, pki.path("empty"));
  expect({good.ca, good.certificate, good.certificate}, Errc::malformed, good.certificate);
  expect({good.ca, good.certificate, other.key}, Errc::conflict, other.key);
  pki.write("endless", std::string((std::size_t{1} << 20U) + 1, '\n'));
  expect({good.ca, good.certificate, pki.path("endless")}, Errc::too_large, pki.path("endless"));
}

class MutualTls : public ::testing::Test {
 protected:
  TestPki pki;
  TestPki other_pki{"other CA"};
  Loop loop;
};

TEST_F(MutualTls, BothEndsLearnWhoTheOtherIs) {
  Link link(loop, pki.context("kme-b"));
  const auto stream = link.connect(pki.context("kme-a"), "kme-b");
  ASSERT_TRUE(stream.has_value()) << stream.error().text;
  run_until(loop, [&] { return !link.accepted.empty(); });
  EXPECT_TRUE((*stream)->peer().is("quipu:kme-b"));
  EXPECT_EQ(link.accepted[0]->peer().names().front(), "quipu:kme-a");
  EXPECT_NE(link.accepted[0]->peer().fingerprint, (*stream)->peer().fingerprint);
  EXPECT_EQ((*stream)->remote(), link.listener->local());
  EXPECT_TRUE(link.refused.empty());
}

TEST_F(MutualTls, WithoutExpectedIdTheHostMustMatch) {
  Link link(loop, pki.context("kme-b"));
  std::vector<std::string> hosts{"127.0.0.1"};
  if (system_names_localhost()) hosts.emplace_back("localhost");
  for (const std::string& host : hosts)
    EXPECT_TRUE(link.connect(pki.context("a"), "", host).has_value()) << host;
  Link unnamed(loop, TestPki::load(pki.issue_named(
                         "unnamed",
                         {.common_name = "127.0.0.1", .uris = {"quipu:x"}, .dns = {"kms.example"}, .addresses = {}})));
  for (const std::string& host : hosts) {
    const auto refused = unnamed.connect(pki.context("a"), "", host);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::not_permitted) << refused.error().text;
  }
}

TEST_F(MutualTls, AnotherIdentityIsRefused) {
  Link link(loop, pki.context("kme-c"));
  const auto stream = link.connect(pki.context("kme-a"), "kme-b");
  ASSERT_FALSE(stream.has_value());
  EXPECT_EQ(stream.error().code, Errc::not_permitted);
  EXPECT_NE(stream.error().text.find("kme-b"), std::string::npos);
}

TEST_F(MutualTls, AServerOfAnotherCaOrExpiredIsRefused) {
  const auto bad = {other_pki.context("kme-b"), TestPki::load(pki.issue_expired("kme-b"))};
  for (const auto& context : bad) {
    Link link(loop, context);
    const auto stream = link.connect(pki.context("kme-a"), "kme-b");
    ASSERT_FALSE(stream.has_value());
    EXPECT_EQ(stream.error().code, Errc::authentication) << stream.error().text;
    run_until(loop, [&] { return link.refused.size() == 1; });
    EXPECT_EQ(link.refused[0].code, Errc::authentication) << link.refused[0].text;
    EXPECT_TRUE(link.accepted.empty());
  }
}

TEST_F(MutualTls, AClientOfAnotherCaOrExpiredIsRefused) {
  Link link(loop, pki.context("kme-b"));
  TlsFiles strange = other_pki.issue("kme-a");
  strange.ca = pki.ca();  // trusts the server, so only the server can refuse
  std::size_t count = 0;
  for (const auto& context : {TestPki::load(strange), TestPki::load(pki.issue_expired("kme-a"))}) {
    auto stream = link.connect(context, "kme-b");
    ASSERT_TRUE(stream.has_value()) << stream.error().text;  // TLS 1.3: the client is done before the server
    EXPECT_EQ(first_read(loop, **stream).code, Errc::authentication);
    ++count;
    run_until(loop, [&] { return link.refused.size() == count; });
    EXPECT_EQ(link.refused.back().code, Errc::authentication) << link.refused.back().text;
  }
  EXPECT_TRUE(link.accepted.empty());
}

TEST_F(MutualTls, NewCertificatesCountForNewConnections) {
  Link link(loop, pki.context("kme-b"));
  const auto first = link.connect(pki.context("kme-a"), "kme-b");
  ASSERT_TRUE(first.has_value());
  link.listener->set_context(pki.context("kme-c"), false);
  EXPECT_FALSE(link.connect(pki.context("kme-a"), "kme-b").has_value());
  EXPECT_TRUE(link.connect(pki.context("kme-a"), "kme-c").has_value());
  EXPECT_TRUE((*first)->send(as_bytes("still there")).has_value());
}

TEST_F(MutualTls, HybridGroupIsRequiredWhereAsked) {
  Link link(loop, pki.context("kme-b", {.require_hybrid = true}));
  EXPECT_TRUE(link.connect(pki.context("kme-a", {.require_hybrid = true}), "kme-b").has_value());
  EXPECT_TRUE(link.connect(pki.context("kme-a"), "kme-b").has_value());  // it offers the hybrid group first
}

TEST_F(MutualTls, NobodyListensOrNobodyAnswers) {
  // Held, so that nobody else comes to listen there.
  const UniqueFd held(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress any_port = to_sockaddr(kLoopback);
  ASSERT_EQ(::bind(held.get(), any_port.get(), any_port.size), 0);
  const Endpoint nobody = local_endpoint(held.get()).value_or(Endpoint{});
  Link link(loop, pki.context("kme-b"));
  std::optional<Errc> code;
  const TlsConnector refused(loop, pki.context("kme-a"), {}, host_port(nobody), "kme-b",
                             [&](auto result) { code = result.error().code; });
  run_until(loop, [&] { return code.has_value(); });
  EXPECT_EQ(*code, Errc::unavailable);
  code.reset();
  TlsStreamLimits no_time;
  no_time.handshake_timeout = -std::chrono::seconds(1);
  const TlsConnector late(loop, pki.context("kme-a"), no_time, host_port(link.listener->local()), "kme-b",
                          [&](auto result) { code = result.error().code; });
  run_until(loop, [&] { return code.has_value(); });
  EXPECT_EQ(*code, Errc::timeout);
}

// The attempt's time is over, and so is that of looking up the name.
TEST_F(MutualTls, AnAttemptWhoseNameIsNotFoundInTimeAnswersOnce) {
  int answers = 0;
  Timer behind_both(loop, [&] { loop.stop(); });
  const TlsConnect attempt(loop, pki.context("kme-a"), {"localhost", 7}, "kme-b", -std::chrono::seconds(1),
                           [&](const auto&) {
                             ++answers;
                             behind_both.set(Loop::now());
                           });
  loop.run();
  EXPECT_EQ(answers, 1);
}

TEST_F(MutualTls, ACancelledAttemptAnswersNobody) {
  Link link(loop, pki.context("kme-b"));
  auto connector =
      std::make_unique<TlsConnector>(loop, pki.context("kme-a"), TlsStreamLimits{}, host_port(link.listener->local()),
                                     "kme-b", [](auto) { ADD_FAILURE(); });
  loop.post([&] { connector.reset(); });
  run_until(loop, [&] { return connector == nullptr && !link.refused.empty(); });
}

}  // namespace
}  // namespace quipu::net
