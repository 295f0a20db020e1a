// SPDX-License-Identifier: Apache-2.0
#include "service/named_files.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/encoding.h"
#include "support/freed_memory.h"
#include "support/scratch.h"
#include "unit/net/fixture.h"

namespace quipu::service {
namespace {

using test::given_back;
using test::watch_for;

#define ENCODED_KEY "MC4CAQAwBQYDK2VwBCIEIKe0wFzQeHJ3bC1mYk9rdVh2U2pRZ0VwT2lMdQ=="
constexpr std::string_view kEncodedKey = ENCODED_KEY;
constexpr std::string_view kPrivateKey = "-----BEGIN PRIVATE KEY-----\n" ENCODED_KEY "\n-----END PRIVATE KEY-----\n";

// The base64 lines of a PEM file, in order.
std::vector<std::string> encoded_lines_in(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);)
    if (!line.starts_with("-----")) out.push_back(line);
  return out;
}

// The secret number of an elliptic-curve key of 256 bits: RFC 5915, clause 3, the first OCTET STRING of 32 octets.
std::string_view scalar_in(std::string_view der) {
  const auto at = der.find(std::string_view("\x04\x20"));
  return at == std::string_view::npos ? std::string_view() : der.substr(at + 2, 32);
}

const config::FileName kAbsent{.name = "/none/a", .position = {7, 1}, .key = "b.a"};

TEST(NamedFiles, TellsAllInTheOrderOfTheConfiguration) {
  const test::Scratch scratch;
  NamedFiles files;
  EXPECT_TRUE(files.outcome("FILE").has_value());
  files.key<32>(kAbsent);
  const std::string empty = scratch.write("k", "", 0644);
  files.key<32>({.name = empty, .position = {3, 1}, .key = "a.k"});
  files.refuse({.position = {3, 9}, .key = "a.id", .problem = "is wrong", .advice = "correct it"});
  const auto outcome = files.outcome("FILE");
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().text, "FILE:3:1: a.k: " + empty +
                                      ": others may read or write this key (mode 0644); chmod 600 it, and make a new "
                                      "key if it was on a shared machine\n"
                                      "FILE:3:9: a.id: is wrong; correct it\n"
                                      "FILE:7:1: b.a: /none/a: No such file or directory");
}

// Only then is another start worth it.
TEST(NamedFiles, AreUnreadableWhenNothingElseIsWrong) {
  NamedFiles absent;
  absent.tls({.ca = kAbsent, .cert = kAbsent, .key = kAbsent});
  absent.key<32>(kAbsent);
  EXPECT_EQ(absent.outcome("FILE").error().code, Errc::io);
  absent.refuse({.position = {}, .key = "b", .problem = "is wrong", .advice = {}});
  absent.key<32>(kAbsent);
  EXPECT_EQ(absent.outcome("FILE").error().code, Errc::malformed);
}

TEST(NamedFiles, ACertificateThatCannotBeHadIsTheFaultOfItsKey) {
  const test::Scratch scratch;
  NamedFiles files;
  EXPECT_EQ(files
                .tls({.ca = {.name = scratch.write("ca", "", 0644), .position = {1, 1}, .key = "t.ca"},
                      .cert = {.name = "/none/cert", .position = {2, 1}, .key = "t.cert"},
                      .key = {.name = "/none/key", .position = {3, 1}, .key = "t.key"}})
                .context,
            nullptr);
  EXPECT_EQ(files.outcome("FILE").error().text, "FILE:1:1: t.ca: " + scratch.path("ca") +
                                                    ": no PEM certificate in it\n"
                                                    "FILE:2:1: t.cert: /none/cert: No such file or directory\n"
                                                    "FILE:3:1: t.key: /none/key: No such file or directory");
  NamedFiles credentials;
  EXPECT_EQ(
      credentials
          .tls({.ca = {.name = "credential:none", .position = {1, 1}, .key = "t.ca"}, .cert = kAbsent, .key = kAbsent})
          .context,
      nullptr);
  EXPECT_TRUE(credentials.outcome("FILE").error().text.starts_with("FILE:1:1: t.ca: credential:none: "));
}

config::FileName file(const std::string& name) {
  return {.name = name, .position = {}, .key = "t"};
}

TEST(NamedFiles, TellWhetherOthersAreTrustedThanBefore) {
  const net::TestPki pki;
  const net::TlsFiles made = pki.issue("a");
  const auto load = [&](const std::string& crl) {
    NamedFiles files;
    TlsEnd end =
        files.tls({.ca = file(made.ca), .cert = file(made.certificate), .key = file(made.key), .crl = file(crl)});
    EXPECT_TRUE(files.outcome("FILE").has_value()) << files.outcome("FILE").error().text;
    return end;
  };
  const TlsEnd before = load("");
  EXPECT_FALSE(load("").renewed_since(before));
  pki.write("crl.pem", pki.list_of({}));
  const TlsEnd listed = load(pki.path("crl.pem"));
  EXPECT_TRUE(listed.distrusts(before) && listed.renewed_since(before));
  pki.issue("x");
  pki.write("crl.pem", pki.list_of({"x"}));
  EXPECT_TRUE(load(pki.path("crl.pem")).distrusts(listed));
  pki.issue("a");  // another certificate in the same files
  EXPECT_FALSE(load("").distrusts(before));
  EXPECT_TRUE(load("").renewed_since(before));
}

// Of the private key, and of another that somebody put into the file of the certificate: neither lines of the text nor
// octets, in the order of either end.
TEST(NamedFiles, LeaveNoKeyInMemoryThatTheyGiveBack) {
  const net::TestPki pki;
  const net::TlsFiles end = pki.issue("a");
  std::ofstream(end.certificate, std::ios::app) << kPrivateKey;
  const Bytes der = from_base64(kEncodedKey).value();
  const std::vector<std::string> lines = encoded_lines_in(end.key);
  ASSERT_GE(lines.size(), 2U);
  const Bytes own = from_base64(fmt::format("{}", fmt::join(lines, ""))).value();
  const std::string scalar(scalar_in(as_text(own)));
  ASSERT_EQ(scalar.size(), 32U);
  const std::string reversed(scalar.rbegin(), scalar.rend());
  for (const std::string_view form :
       {kPrivateKey, kEncodedKey, as_text(der), std::string_view(lines[0]), std::string_view(lines[1]),
        std::string_view(scalar), std::string_view(reversed)}) {
    watch_for(form);
    TlsEnd tls;
    {
      NamedFiles files;
      tls = files.tls({.ca = file(end.ca), .cert = file(end.certificate), .key = file(end.key)});
    }
    EXPECT_NE(tls.certificate, FileDigest{});
    EXPECT_NE(tls.context, nullptr);
    tls.context.reset();
    EXPECT_FALSE(given_back()) << "form of " << form.size() << " octets";
    watch_for({});
  }
}

}  // namespace
}  // namespace quipu::service
