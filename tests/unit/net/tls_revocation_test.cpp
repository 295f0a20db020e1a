// SPDX-License-Identifier: Apache-2.0
// Real handshakes with lists of revoked certificates in between.
#include <gmock/gmock.h>

#include "tls_link.h"

namespace quipu::net {
namespace {

using std::chrono::days;
using testing::AllOf;
using testing::HasSubstr;

class Revocation : public ::testing::Test {
 protected:
  // The files of NAME with that text as its lists.
  TlsFiles with_lists(const std::string& name, const std::string& lists) const {
    TlsFiles files = pki.issue(name);
    files.crl = pki.path("crl.pem");
    pki.write("crl.pem", lists);
    return files;
  }

  Errc error_of(const TlsFiles& files) {
    const auto context = TlsContext::load(files);
    if (context) return Errc{};
    EXPECT_EQ(context.error().size(), 1U);
    EXPECT_EQ(context.error()[0].file, TlsFault::File::crl);
    text = context.error()[0].error.text;
    return context.error()[0].error.code;
  }

  // Whether `server` lets in who has that certificate; `text` says why not.
  bool lets_in(const std::shared_ptr<const TlsContext>& server, const TlsFiles& client) {
    Link link(loop, server);
    const auto stream = link.connect(TestPki::load(client), "kme-b");
    EXPECT_TRUE(stream.has_value()) << stream.error().text;
    run_until(loop, [&] { return link.accepted.size() + link.refused.size() == 1; });
    text = link.refused.empty() ? "" : link.refused[0].text;
    return link.refused.empty();
  }

  // A list of changes to list 1, which our own program never makes.
  std::string delta_list() const {
    pki.write("ca.key", pki.ca_key());
    pki.write("issued", "");
    pki.write("conf", "[ca]\ndefault_ca=any\n[any]\ndatabase=" + pki.path("issued") +
                          "\ndefault_md=sha256\ncrl_extensions=delta\n[delta]\n"
                          "authorityKeyIdentifier=keyid\n2.5.29.27=critical,DER:020101\n");
    const std::string command = "openssl ca -gencrl -crldays 30 -config " + pki.path("conf") + " -cert " + pki.ca() +
                                " -keyfile " + pki.path("ca.key") + " -out " + pki.path("delta.pem") + " 2>/dev/null";
    EXPECT_EQ(::system(command.c_str()), 0);
    return pki.read("delta.pem");
  }

  TestPki pki;
  Loop loop;
  std::string text;
};

TEST_F(Revocation, WhoIsInTheListIsRefusedAndNobodyElse) {
  const TlsFiles good = pki.issue("sae-a");
  const TlsFiles bad = pki.issue("sae-x");
  const auto server = TestPki::load(with_lists("kme-b", pki.list_of({"sae-x"})));
  EXPECT_TRUE(lets_in(server, good)) << text;
  EXPECT_FALSE(lets_in(server, bad));
  EXPECT_THAT(text, HasSubstr("certificate revoked"));
  EXPECT_FALSE(server->is_revoked());
}

TEST_F(Revocation, AClientHoldsItsServerAgainstTheList) {
  Link link(loop, pki.context("kme-b"));
  const auto client = TestPki::load(with_lists("kme-a", pki.list_of({"kme-b"})));
  const auto stream = link.connect(client, "kme-b");
  ASSERT_FALSE(stream.has_value());
  EXPECT_EQ(stream.error().code, Errc::authentication);
  EXPECT_THAT(stream.error().text, HasSubstr("revoked"));
}

TEST_F(Revocation, WithAListThatIsOverEverybodyIsRefused) {
  const auto over = TestPki::list_period().not_before - days(1);
  const auto server = TestPki::load(with_lists("kme-b", pki.list_of({}, {over - days(30), over})));
  EXPECT_EQ(server->revocation()->until, std::chrono::floor<std::chrono::seconds>(over));
  EXPECT_FALSE(lets_in(server, pki.issue("sae-a")));
  EXPECT_THAT(text, HasSubstr("CRL has expired"));
}

TEST_F(Revocation, TheNewestListOfAnAuthorityCounts) {
  const TlsFiles good = pki.issue("sae-a");
  const TlsFiles bad = pki.issue("sae-x");
  const crypto::Validity now = TestPki::list_period();
  const auto server = TestPki::load(
      with_lists("kme-b", pki.list_of({}, {now.not_before - days(30), now.not_before}) + pki.list_of({"sae-x"}, now)));
  EXPECT_EQ(server->revocation(), (RevocationPeriod{std::chrono::floor<std::chrono::seconds>(now.not_before),
                                                    std::chrono::floor<std::chrono::seconds>(now.not_after)}));
  EXPECT_TRUE(lets_in(server, good)) << text;
  EXPECT_FALSE(lets_in(server, bad));
}

// Also where both are of one name, as while one takes the other's place: they differ by their keys.
TEST_F(Revocation, EachAuthorityNeedsAList) {
  const TestPki next;
  TlsFiles files = with_lists("kme-b", pki.list_of({}));
  files.ca = pki.path("both.pem");
  pki.write("both.pem", pki.read("ca.pem") + next.read("ca.pem"));
  EXPECT_EQ(error_of(files), Errc::conflict);
  EXPECT_THAT(text, AllOf(HasSubstr("crl.pem: holds no list of the authority \"CN=test CA\""), HasSubstr("both.pem")));
  const TlsFiles bad = next.issue("sae-x");
  pki.write("crl.pem", next.list_of({"sae-x"}) + pki.list_of({}));
  const auto server = TestPki::load(files);
  for (TlsFiles client : {pki.issue("sae-a"), next.issue("sae-b")}) {
    client.ca = pki.ca();
    EXPECT_TRUE(lets_in(server, client)) << text;
  }
  EXPECT_FALSE(lets_in(server, {pki.ca(), bad.certificate, bad.key}));
}

TEST_F(Revocation, WhatIsNoWholeListIsRefused) {
  EXPECT_EQ(error_of(with_lists("kme-b", pki.list_of({}) + delta_list())), Errc::unsupported);
  EXPECT_THAT(text, HasSubstr("delta list"));
  EXPECT_EQ(error_of(with_lists("kme-b", "")), Errc::malformed);
  EXPECT_EQ(error_of(with_lists("kme-b", pki.read("ca.pem"))), Errc::malformed);
  std::string damaged = pki.list_of({});
  damaged[60] = '!';
  EXPECT_EQ(error_of(with_lists("kme-b", pki.list_of({}) + damaged)), Errc::malformed);
  TlsFiles absent = pki.issue("kme-b");
  absent.crl = pki.path("none");
  EXPECT_EQ(error_of(absent), Errc::io);
}

TEST_F(Revocation, OurOwnCertificateIsHeldAgainstTheLists) {
  TlsFiles own = pki.issue("kme-b");
  own.crl = pki.path("crl.pem");
  pki.write("crl.pem", pki.list_of({"kme-b"}));
  EXPECT_TRUE(TestPki::load(own)->is_revoked());
  // Whatever the time of either.
  const auto over = TestPki::list_period().not_before - days(1);
  pki.write("crl.pem", pki.list_of({"kme-b"}, {over - days(30), over}));
  EXPECT_TRUE(TestPki::load(own)->is_revoked());
}

}  // namespace
}  // namespace quipu::net
