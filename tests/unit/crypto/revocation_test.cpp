// SPDX-License-Identifier: Apache-2.0
#include "crypto/revocation.h"

#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/freed_by.h"

namespace quipu::crypto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

using Bio = std::unique_ptr<BIO, FreedBy<BIO_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using List = std::unique_ptr<X509_CRL, FreedBy<X509_CRL_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;

constexpr WallTime kBegin = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);
constexpr Validity kTenYears{kBegin, kBegin + 24h * 3650};
constexpr Validity kOneYear{kBegin, kBegin + 24h * 365};
constexpr Validity kMonth{kBegin + 24h, kBegin + 24h * 31};

Bio reader(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Certificate read(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
}

List read_list(const std::string& pem) {
  return List(PEM_read_bio_X509_CRL(reader(pem).get(), nullptr, nullptr, nullptr));
}

bool names(const X509_CRL* list, const std::string& certificate_pem) {
  X509_REVOKED* entry = nullptr;
  return X509_CRL_get0_by_serial(const_cast<X509_CRL*>(list), &entry,
                                 X509_get_serialNumber(read(certificate_pem).get())) == 1;
}

long number_of(const X509_CRL* list) {
  const std::unique_ptr<ASN1_INTEGER, FreedBy<ASN1_STRING_free>> number(
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(list, NID_crl_number, nullptr, nullptr)));
  return number ? ASN1_INTEGER_get(number.get()) : -1;
}

class RevocationLists : public testing::TestWithParam<CertificateKey> {
 protected:
  std::string issue(const std::string& name) const {
    return issue_certificate(m_ca.certificate_pem, m_ca.private_key_pem,
                             {.common_name = name, .uris = {}, .dns = {name}, .addresses = {}}, GetParam(), kOneYear)
        ->certificate_pem;
  }

  Result<RevocationList> create(std::string_view previous, const std::vector<NamedCertificate>& certificates,
                                const Validity& period = kMonth) const {
    return create_revocation_list(m_ca.certificate_pem, m_ca.private_key_pem, previous, certificates, period);
  }

  Errc refusal(std::string_view previous, const std::vector<NamedCertificate>& certificates = {}) {
    const auto refused = create(previous, certificates);
    EXPECT_FALSE(refused.has_value());
    text = refused ? "" : refused.error().text;
    return refused ? Errc{} : refused.error().code;
  }

  Key authority_key() const {
    return Key(PEM_read_bio_PrivateKey(reader(as_text(m_ca.private_key_pem.view())).get(), nullptr, nullptr, nullptr));
  }

  CertificateAndKey m_ca = *create_ca("site test CA", GetParam(), kTenYears);
  std::string text;
};

INSTANTIATE_TEST_SUITE_P(Keys, RevocationLists, testing::Values(CertificateKey::ecdsa_p256, CertificateKey::ed25519),
                         [](const auto& which) {
                           return which.param == CertificateKey::ecdsa_p256 ? "ecdsa_p256" : "ed25519";
                         });

TEST_P(RevocationLists, NameWhatTheEarlierOneNamedAndMore) {
  const std::string a = issue("a");
  const std::string b = issue("b");
  const std::string c = issue("c");
  const auto first = create({}, {{"a", a}});
  ASSERT_TRUE(first) << first.error().text;
  EXPECT_EQ(first->size, 1U);
  EXPECT_FALSE(first->asked_for.at(0).before);
  const auto second = create(first->pem, {{"b", b}, {"a", a}, {"b", b}}, {kMonth.not_before + 24h, kMonth.not_after});
  ASSERT_TRUE(second) << second.error().text;
  EXPECT_EQ(second->size, 2U);
  std::vector<bool> before;
  for (const RevokedCertificate& one : second->asked_for)
    before.push_back(one.before);
  EXPECT_THAT(before, ElementsAre(false, true, true));
  EXPECT_EQ(second->asked_for[1].serial, first->asked_for[0].serial);
  const List list = read_list(second->pem);
  ASSERT_TRUE(list);
  EXPECT_EQ(X509_CRL_verify(list.get(), X509_get0_pubkey(read(m_ca.certificate_pem).get())), 1);
  EXPECT_TRUE(names(list.get(), a) && names(list.get(), b));
  EXPECT_FALSE(names(list.get(), c));
  EXPECT_EQ(number_of(read_list(first->pem).get()), 1);
  EXPECT_EQ(number_of(list.get()), 2);
  EXPECT_GE(X509_CRL_get_ext_by_NID(list.get(), NID_authority_key_identifier, -1), 0);
}

TEST_P(RevocationLists, EndWhenTheyWereToldTo) {
  const List list = read_list(create({}, {})->pem);
  const auto seconds = [](WallTime time) { return static_cast<time_t>(time.time_since_epoch() / 1s); };
  EXPECT_EQ(ASN1_TIME_cmp_time_t(X509_CRL_get0_lastUpdate(list.get()), seconds(kMonth.not_before)), 0);
  EXPECT_EQ(ASN1_TIME_cmp_time_t(X509_CRL_get0_nextUpdate(list.get()), seconds(kMonth.not_after)), 0);
  EXPECT_EQ(create({}, {}, {kBegin, kBegin}).error().code, Errc::out_of_range);
}

TEST_P(RevocationLists, OfAnotherAuthorityOrOfItselfRevokeNothing) {
  const auto other = create_ca("site test CA", GetParam(), kTenYears);
  const auto others = create_revocation_list(other->certificate_pem, other->private_key_pem, {}, {}, kMonth);
  ASSERT_TRUE(others);
  EXPECT_EQ(refusal(others->pem), Errc::conflict);
  EXPECT_EQ(refusal({}, {{"x.pem", other->certificate_pem}}), Errc::conflict);
  EXPECT_THAT(text, testing::StartsWith("x.pem: "));
  EXPECT_EQ(refusal({}, {{"ca.pem", m_ca.certificate_pem}}), Errc::not_permitted);
  EXPECT_THAT(text, HasSubstr("authority's own"));
}

// Whom an earlier list names must not be let in again, so it is understood in full or not at all.
TEST_P(RevocationLists, RefuseAnEarlierOneThatIsNotOneWholeList) {
  const std::string one = create({}, {{"a", issue("a")}})->pem;
  EXPECT_EQ(refusal("nonsense"), Errc::malformed);
  EXPECT_EQ(refusal(one + one), Errc::conflict);
  EXPECT_EQ(refusal(one + one.substr(0, one.size() / 2)), Errc::conflict);
  const List delta = read_list(one);
  const std::unique_ptr<ASN1_INTEGER, FreedBy<ASN1_STRING_free>> base(ASN1_INTEGER_new());
  ASSERT_EQ(X509_CRL_add1_ext_i2d(delta.get(), NID_delta_crl, base.get(), 1, 0), 1);
  const EVP_MD* const digest = GetParam() == CertificateKey::ed25519 ? nullptr : EVP_sha256();
  ASSERT_GT(X509_CRL_sign(delta.get(), authority_key().get(), digest), 0);
  const Bio out(BIO_new(BIO_s_mem()));
  ASSERT_EQ(PEM_write_bio_X509_CRL(out.get(), delta.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  EXPECT_EQ(refusal({data, static_cast<std::size_t>(size)}), Errc::unsupported);
}

TEST_P(RevocationLists, AreForAnAuthorityThatMaySignThem) {
  const Certificate ca = read(m_ca.certificate_pem);
  X509_EXTENSION_free(X509_delete_ext(ca.get(), X509_get_ext_by_NID(ca.get(), NID_key_usage, -1)));
  const std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>> usage(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_key_usage, "critical,keyCertSign"));
  ASSERT_EQ(X509_add_ext(ca.get(), usage.get(), -1), 1);
  const EVP_MD* const digest = GetParam() == CertificateKey::ed25519 ? nullptr : EVP_sha256();
  ASSERT_GT(X509_sign(ca.get(), authority_key().get(), digest), 0);
  const Bio out(BIO_new(BIO_s_mem()));
  ASSERT_EQ(PEM_write_bio_X509(out.get(), ca.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  m_ca.certificate_pem = std::string(data, static_cast<std::size_t>(size));
  EXPECT_EQ(refusal({}), Errc::not_permitted);
  EXPECT_THAT(text, HasSubstr("cRLSign"));
}

}  // namespace
}  // namespace quipu::crypto
