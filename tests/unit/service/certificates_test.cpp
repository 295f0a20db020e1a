// SPDX-License-Identifier: Apache-2.0
#include "service/certificates.h"

#include <gtest/gtest.h>

#include "support/recorded_log.h"

namespace quipu::service {
namespace {

using control::CertificateState;
using std::chrono::days;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::RecordedLog;

constexpr WallTime kEnd = std::chrono::sys_days(
    std::chrono::year_month_day{std::chrono::year{2027}, std::chrono::month{3}, std::chrono::day{1}});  // 00:00 UTC
constexpr WallTime kBegin = kEnd - days(365);
const Certificate kCertificate{"km_link.cert", kBegin, kEnd};

TEST(Certificates, StatusSaysWhenOneEnds) {
  const auto at = [](WallTime now) { return certificate_status(kCertificate, now); };
  EXPECT_EQ(at(kEnd - days(30)),
            (control::CertificateStatus{"km_link.cert", CertificateState::good, "2026-03-01T00:00:00Z",
                                        "2027-03-01T00:00:00Z", 30 * 86400.0}));
  EXPECT_EQ(at(kBegin - milliseconds(1)).state, CertificateState::not_yet);
  EXPECT_EQ(at(kBegin).state, CertificateState::good);
  EXPECT_EQ(at(kEnd - days(30) + milliseconds(1)).state, CertificateState::ends_soon);
  EXPECT_EQ(at(kEnd).state, CertificateState::ends_soon);
  EXPECT_EQ(at(kEnd + milliseconds(500)).state, CertificateState::over);
  EXPECT_EQ(at(kEnd + milliseconds(500)).remaining_s, -0.5);
}

TEST(Certificates, OneWithoutAnEndEndsInTheYear9999) {
  using namespace std::chrono;
  constexpr WallTime kNever = sys_days(year_month_day{year{9999}, December, day{31}}) + days(1) - seconds(1);
  EXPECT_EQ(certificate_status({"kms.local.cert", kBegin, kNever}, kEnd).not_after, "9999-12-31T23:59:59Z");
  EXPECT_EQ(certificate_status({"kms.local.cert", kBegin, kNever}, kEnd).state, CertificateState::good);
}

// Many a list of revoked certificates lives for a week only.
TEST(Certificates, AListEndsSoonInItsLastQuarter) {
  const Certificate list{.setting = "km_link.crl", .not_before = kEnd - days(8), .not_after = kEnd, .is_crl = true};
  EXPECT_EQ(certificate_status(list, kEnd - days(2)).state, CertificateState::good);
  EXPECT_EQ(certificate_status(list, kEnd - days(2) + milliseconds(1)).state, CertificateState::ends_soon);
  EXPECT_EQ(certificate_status(list, kEnd + milliseconds(1)).state, CertificateState::over);
  EXPECT_EQ(check_certificates("FILE", {list}, kEnd - days(1)),
            std::vector<std::string>{"FILE: km_link.crl: the list of revoked certificates ends at "
                                     "2027-03-01T00:00:00Z; put a newer one there"});
  EXPECT_NE(check_certificates("FILE", {list}, kEnd + days(1)).error().text.find("everybody is refused"),
            std::string::npos);
}

TEST(Certificates, ARevokedOneIsSaidToBe) {
  Certificate revoked = kCertificate;
  revoked.is_revoked = true;
  EXPECT_EQ(certificate_status(revoked, kBegin).state, CertificateState::revoked);
  const auto refused = check_certificates("FILE", {revoked}, kBegin);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().text.find("km_link.cert: the certificate is revoked by its authority"), std::string::npos)
      << refused.error().text;
  RecordedLog log;
  CertificateWatch watch(log);
  watch.set({revoked});
  watch.check(kBegin);
  watch.check(kEnd + days(1));
  EXPECT_EQ(log.values("certificate_revoked", "alarm"), std::vector<std::string>{"yes"});
  EXPECT_EQ(log.lines(), 1U);
}

TEST(Certificates, EachStateIsLoggedOnce) {
  RecordedLog log;
  CertificateWatch watch(log);
  watch.set({{"etsi014.cert", kBegin, kEnd + days(100)}, kCertificate});
  for (const WallTime now : {kEnd - days(31), kEnd - days(29), kEnd - days(28)})
    watch.check(now);
  EXPECT_EQ(log.values("certificate_ends_soon", "setting"), std::vector<std::string>{"km_link.cert"});
  EXPECT_EQ(log.values("certificate_ends_soon", "not_after"), std::vector<std::string>{"2027-03-01T00:00:00Z"});
  EXPECT_EQ(log.count("certificate_over"), 0U);
  watch.check(kEnd + seconds(1));
  watch.check(kEnd + seconds(2));
  EXPECT_EQ(log.values("certificate_over", "alarm"), std::vector<std::string>{"yes"});
  EXPECT_EQ(watch.status(kEnd + seconds(2)).at(1).state, CertificateState::over);
}

TEST(Certificates, OneThatIsOverWhenItIsLoadedIsLoggedAsThat) {
  RecordedLog log;
  CertificateWatch watch(log);
  watch.set({kCertificate});
  watch.check(kEnd + days(1));
  EXPECT_EQ(log.count("certificate_ends_soon"), 0U);
  EXPECT_EQ(log.count("certificate_over"), 1U);
}

TEST(Certificates, OneThatIsNotValidYetIsLoggedOnceAsThat) {
  RecordedLog log;
  CertificateWatch watch(log);
  watch.set({{"km_link.cert", kBegin, kBegin + days(20)}});
  for (const WallTime now : {kBegin - days(2), kBegin - days(1)})
    watch.check(now);
  EXPECT_EQ(log.values("certificate_not_yet", "not_before"), std::vector<std::string>{"2026-03-01T00:00:00Z"});
  EXPECT_EQ(log.values("certificate_not_yet", "alarm"), std::vector<std::string>{"yes"});
  EXPECT_EQ(log.count("certificate_ends_soon"), 0U);
  watch.check(kBegin);
  EXPECT_EQ(log.count("certificate_ends_soon"), 1U);
}

TEST(Certificates, NothingIsLoggedWhenTheTimeOfOneHasCome) {
  RecordedLog log;
  CertificateWatch watch(log);
  watch.set({kCertificate});
  watch.check(kBegin - days(1));
  EXPECT_EQ(log.lines(), 1U);
  watch.check(kBegin);
  EXPECT_EQ(log.lines(), 1U);
  EXPECT_EQ(watch.status(kBegin).at(0).state, CertificateState::good);
}

TEST(Certificates, AReloadTellsOfRenewedOnesOnly) {
  RecordedLog log;
  CertificateWatch watch(log);
  const WallTime now = kEnd - days(1);
  watch.set({kCertificate});
  watch.check(now);
  watch.set({kCertificate});
  watch.check(now);
  EXPECT_EQ(log.count("certificate_ends_soon"), 1U);
  watch.set({{"km_link.cert", kBegin, now + days(2)}});
  watch.check(now);
  EXPECT_EQ(log.count("certificate_ends_soon"), 2U);
  watch.set({{"km_link.cert", kBegin, now + days(825)}});
  watch.check(now);
  EXPECT_EQ(log.count("certificate_ends_soon"), 2U);
  EXPECT_EQ(watch.status(now).at(0).state, CertificateState::good);
}

TEST(Certificates, ACheckNotesWhatEndsSoonAndRefusesWhatIsNotValid) {
  const std::vector<Certificate> both{{"km_link.cert", kBegin, kEnd, {8, 1}},
                                      {"etsi014.cert", kBegin, kEnd + days(100), {}}};
  EXPECT_EQ(check_certificates("FILE", both, kEnd - days(40)), std::vector<std::string>{});
  EXPECT_EQ(check_certificates("FILE", both, kEnd - days(1)),
            std::vector<std::string>{
                "FILE:8:1: km_link.cert: the certificate ends at 2027-03-01T00:00:00Z; have a new one issued"});
  const auto over = check_certificates("FILE", both, kEnd + days(1));
  ASSERT_FALSE(over.has_value());
  EXPECT_EQ(over.error().code, Errc::out_of_range);
  EXPECT_TRUE(
      over.error().text.starts_with("FILE:8:1: km_link.cert: the certificate is over since 2027-03-01T00:00:00Z"))
      << over.error().text;
  EXPECT_NE(check_certificates("FILE", both, kEnd + days(101)).error().text.find("\nFILE: etsi014.cert: "),
            std::string::npos);
  const auto early = check_certificates("FILE", both, kBegin - days(1));
  ASSERT_FALSE(early.has_value());
  EXPECT_EQ(early.error().code, Errc::out_of_range);
  EXPECT_TRUE(early.error().text.starts_with(
      "FILE:8:1: km_link.cert: the certificate is not valid before 2026-03-01T00:00:00Z"))
      << early.error().text;
  EXPECT_NE(early.error().text.find("\nFILE: etsi014.cert: the certificate is not valid before "), std::string::npos);
}

}  // namespace
}  // namespace quipu::service
