// SPDX-License-Identifier: Apache-2.0
#include "crypto/pki.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <memory>
#include <string>

namespace quipu::crypto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr WallTime kBegin = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);
constexpr Validity kTenYears{kBegin, kBegin + 24h * 3650};
constexpr Validity kOneYear{kBegin, kBegin + 24h * 365};

struct FreeX509 {
  void operator()(X509* x) const { X509_free(x); }
};

using X509Ptr = std::unique_ptr<X509, FreeX509>;

X509Ptr read(const std::string& pem) {
  BIO* in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509Ptr out(PEM_read_bio_X509(in, nullptr, nullptr, nullptr));
  BIO_free(in);
  return out;
}

// OpenSSL's own verdict for a TLS role at a point in time: X509_V_OK or the reason.
int verify(const std::string& ca_pem, const std::string& leaf_pem, int purpose, WallTime when = kBegin + 24h) {
  const X509Ptr ca = read(ca_pem);
  const X509Ptr leaf = read(leaf_pem);
  X509_STORE* store = X509_STORE_new();
  X509_STORE_add_cert(store, ca.get());
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
  X509_STORE_CTX_set_purpose(context, purpose);
  X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
  X509_STORE_CTX_set_time(context, 0, std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count());
  const bool good = X509_verify_cert(context) == 1;
  const int reason = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  EXPECT_EQ(good, reason == X509_V_OK);
  return reason;
}

std::vector<std::string> alternative_names(const std::string& pem) {
  const X509Ptr certificate = read(pem);
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  std::vector<std::string> out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    int type = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    const ByteView octets(ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value)));
    if (type == GEN_IPADD) out.push_back("IP:" + IpAddress::from_octets(octets).text());
    if (type == GEN_URI) out.push_back("URI:" + std::string(as_text(octets)));
    if (type == GEN_DNS) out.push_back("DNS:" + std::string(as_text(octets)));
  }
  GENERAL_NAMES_free(names);
  return out;
}

CertificateNames sae_a() {
  return {.common_name = "sae-a",
          .uris = {"urn:quipu:sae:sae-a"},
          .dns = {"vpn-a.example"},
          .addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")}};
}

class Pki : public testing::TestWithParam<CertificateKey> {
 protected:
  CertificateAndKey m_ca = *create_ca("site test CA", GetParam(), kTenYears);

  Result<CertificateAndKey> issue(const CertificateNames& names, const Validity& validity = kOneYear) {
    return issue_certificate(m_ca.certificate_pem, m_ca.private_key_pem, names, GetParam(), validity);
  }
};

INSTANTIATE_TEST_SUITE_P(Keys, Pki, testing::Values(CertificateKey::ecdsa_p256, CertificateKey::ed25519),
                         [](const auto& which) {
                           return which.param == CertificateKey::ecdsa_p256 ? "ecdsa_p256" : "ed25519";
                         });

TEST_P(Pki, IssuedCertificateVerifiesForBothTlsRoles) {
  const auto leaf = issue(sae_a());
  ASSERT_TRUE(leaf) << leaf.error().text;
  EXPECT_EQ(verify(m_ca.certificate_pem, leaf->certificate_pem, X509_PURPOSE_SSL_SERVER), X509_V_OK);
  EXPECT_EQ(verify(m_ca.certificate_pem, leaf->certificate_pem, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
  EXPECT_EQ(X509_check_host(read(leaf->certificate_pem).get(), "vpn-a.example", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(read(leaf->certificate_pem).get(), "192.0.2.1", 0), 1);
}

TEST_P(Pki, CarriesEveryNameAndNoOther) {
  const auto leaf = issue(sae_a());
  ASSERT_TRUE(leaf);
  EXPECT_THAT(alternative_names(leaf->certificate_pem),
              ElementsAre("URI:urn:quipu:sae:sae-a", "DNS:vpn-a.example", "IP:192.0.2.1", "IP:2001:db8::1"));
}

TEST_P(Pki, EndsWhenItWasToldTo) {
  const auto leaf = issue(sae_a());
  ASSERT_TRUE(leaf);
  EXPECT_EQ(certificate_not_after(leaf->certificate_pem), kOneYear.not_after);
  EXPECT_EQ(certificate_not_after(m_ca.certificate_pem), kTenYears.not_after);
  EXPECT_EQ(verify(m_ca.certificate_pem, leaf->certificate_pem, X509_PURPOSE_SSL_SERVER, kOneYear.not_after + 2s),
            X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(verify(m_ca.certificate_pem, leaf->certificate_pem, X509_PURPOSE_SSL_SERVER, kBegin - 2s),
            X509_V_ERR_CERT_NOT_YET_VALID);
}

TEST_P(Pki, AnotherAuthorityOfTheSameNameDoesNotVerify) {
  const auto leaf = issue(sae_a());
  const auto other = create_ca("site test CA", GetParam(), kTenYears);
  ASSERT_TRUE(leaf && other);
  EXPECT_NE(verify(other->certificate_pem, leaf->certificate_pem, X509_PURPOSE_SSL_SERVER), X509_V_OK);
}

TEST_P(Pki, SerialsAndKeysAreFresh) {
  const auto one = issue(sae_a());
  const auto two = issue(sae_a());
  ASSERT_TRUE(one && two);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(read(one->certificate_pem).get()),
                             X509_get0_serialNumber(read(two->certificate_pem).get())),
            0);
  EXPECT_FALSE(one->private_key_pem == two->private_key_pem);
}

TEST_P(Pki, AnEndEntityMaySignNothing) {
  const auto leaf = issue(sae_a());
  ASSERT_TRUE(leaf);
  const auto refused = issue_certificate(leaf->certificate_pem, leaf->private_key_pem, sae_a(), GetParam(), kOneYear);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::not_permitted);
}

TEST_P(Pki, RefusesAKeyOfAnotherAuthority) {
  const auto other = create_ca("another", GetParam(), kTenYears);
  ASSERT_TRUE(other);
  const auto refused = issue_certificate(m_ca.certificate_pem, other->private_key_pem, sae_a(), GetParam(), kOneYear);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::bad_key);
}

TEST_P(Pki, RefusesToOutliveItsAuthority) {
  const auto refused = issue(sae_a(), {kBegin, kTenYears.not_after + 1s});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
  EXPECT_THAT(refused.error().text, HasSubstr("outlive"));
  EXPECT_TRUE(issue(sae_a(), kTenYears));
}

TEST_P(Pki, RefusesNamesThatCannotBeMeant) {
  for (const char* uri : {"", "sae-a", "urn:", ":x", "1urn:x", "urn:with blank", "urn:\x80"})
    EXPECT_EQ(issue({.common_name = "x", .uris = {uri}, .dns = {}, .addresses = {}}).error().code, Errc::out_of_range)
        << uri;
  for (const char* dns : {"", ".", "a..b", "-a", "a-", "a b", "a.*.b", "*", "a,URI:urn:b"})
    EXPECT_EQ(issue({.common_name = "x", .uris = {}, .dns = {dns}, .addresses = {}}).error().code, Errc::out_of_range)
        << dns;
  for (const std::string& name : {std::string(), std::string(65, 'x'), std::string("a\nb"), std::string("a\0b", 3)}) {
    EXPECT_EQ(issue({.common_name = name, .uris = {}, .dns = {}, .addresses = {}}).error().code, Errc::out_of_range);
    EXPECT_EQ(create_ca(name, GetParam(), kTenYears).error().code, Errc::out_of_range);
  }
  EXPECT_TRUE(issue({.common_name = std::string(64, 'x'), .uris = {}, .dns = {"*.example"}, .addresses = {}}));
}

TEST_P(Pki, RefusesWhatIsNotPem) {
  const auto no_certificate = issue_certificate("nonsense", m_ca.private_key_pem, sae_a(), GetParam(), kOneYear);
  EXPECT_EQ(no_certificate.error().code, Errc::malformed);
  const auto no_key = issue_certificate(m_ca.certificate_pem, SecretBytes(16), sae_a(), GetParam(), kOneYear);
  EXPECT_EQ(no_key.error().code, Errc::malformed);
  EXPECT_EQ(certificate_not_after("").error().code, Errc::malformed);
}

TEST_P(Pki, RefusesAnEndBeforeTheBeginning) {
  EXPECT_EQ(create_ca("x", GetParam(), {kBegin, kBegin}).error().code, Errc::out_of_range);
  EXPECT_EQ(issue(sae_a(), {kOneYear.not_after, kBegin}).error().code, Errc::out_of_range);
}

}  // namespace
}  // namespace quipu::crypto
