// SPDX-License-Identifier: Apache-2.0
#include "service/certificates.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <ctime>

namespace quipu::service {
namespace {

using control::CertificateState;

constexpr std::chrono::days kSoon{30};

// Before its end. Many a list of revoked certificates lives for a week only.
std::chrono::milliseconds soon(const Certificate& certificate) {
  return certificate.is_crl ? (certificate.not_after - certificate.not_before) / 4 : kSoon;
}

CertificateState state_of(const Certificate& certificate, WallTime now) {
  if (certificate.is_revoked) return CertificateState::revoked;
  if (now > certificate.not_after) return CertificateState::over;
  if (now < certificate.not_before) return CertificateState::not_yet;
  return certificate.not_after - now < soon(certificate) ? CertificateState::ends_soon : CertificateState::good;
}

std::string date_text(WallTime time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  // Not by system_clock: its nanoseconds end in 2262, many a certificate in 9999.
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(static_cast<std::time_t>(whole.time_since_epoch().count())));
}

std::string renewal(bool crl) {
  return crl ? "put a newer one there" : "have a new one issued";
}

// Of one that is not good.
config::Problem problem_with(const Certificate& certificate, CertificateState state) {
  const std::string begin = date_text(certificate.not_before);
  const std::string end = date_text(certificate.not_after);
  const bool crl = certificate.is_crl;
  const std::string_view what = crl ? "the list of revoked certificates" : "the certificate";
  const std::string_view effect = crl ? "with it everybody is refused" : "nobody accepts it";
  config::Problem out{.position = certificate.position, .key = certificate.setting};
  if (state == CertificateState::revoked) {
    out.problem = "the certificate is revoked by its authority, nobody accepts it";
    out.advice = renewal(crl);
  } else if (state == CertificateState::not_yet) {
    out.problem = fmt::format("{} is not valid before {}, {}{}", what, begin, effect, crl ? "" : " yet");
    out.advice = crl ? "set the clock right" : "set the clock right, or have another one issued";
  } else if (state == CertificateState::over) {
    out.problem = fmt::format("{} is over since {}, {}", what, end, effect);
    out.advice = fmt::format("{}, or set the clock right", renewal(crl));
  } else {
    out.problem = fmt::format("{} ends at {}", what, end);
    out.advice = renewal(crl);
  }
  return out;
}

}  // namespace

void append_certificates(const config::TlsFiles& files, const net::TlsContext& loaded, std::vector<Certificate>& to) {
  to.push_back({.setting = files.cert.key,
                .not_before = loaded.own().not_before,
                .not_after = loaded.own().not_after,
                .position = files.cert.position,
                .is_revoked = loaded.is_revoked()});
  if (const auto& crl = loaded.revocation(); crl && crl->until != WallTime::max())
    to.push_back({.setting = files.crl.key,
                  .not_before = crl->since,
                  .not_after = crl->until,
                  .position = files.crl.position,
                  .is_crl = true});
}

control::CertificateStatus certificate_status(const Certificate& certificate, WallTime now) {
  return {.setting = certificate.setting,
          .state = state_of(certificate, now),
          .not_before = date_text(certificate.not_before),
          .not_after = date_text(certificate.not_after),
          .remaining_s = std::chrono::duration<double>(certificate.not_after - now).count()};
}

Result<std::vector<std::string>> check_certificates(std::string_view configuration,
                                                    const std::vector<Certificate>& certificates, WallTime now) {
  std::vector<std::string> notes;
  std::vector<config::Problem> invalid;
  for (const Certificate& certificate : certificates) {
    const CertificateState state = state_of(certificate, now);
    if (state == CertificateState::ends_soon) notes.push_back(problem_with(certificate, state).text(configuration));
    if (!control::is_valid(state)) invalid.push_back(problem_with(certificate, state));
  }
  if (invalid.empty()) return notes;
  return fail(Errc::out_of_range, config::to_error(configuration, invalid).text);
}

void CertificateWatch::set(const std::vector<Certificate>& certificates) {
  std::vector<Watched> watched;
  watched.reserve(certificates.size());
  for (const Certificate& certificate : certificates) {
    const auto known =
        std::ranges::find_if(m_watched, [&](const Watched& one) { return one.certificate == certificate; });
    watched.push_back({certificate, known == m_watched.end() ? CertificateState::good : known->told});
  }
  m_watched = std::move(watched);
}

void CertificateWatch::check(WallTime now) {
  for (Watched& one : m_watched) {
    const CertificateState state = state_of(one.certificate, now);
    if (state == std::exchange(one.told, state)) continue;
    if (state == CertificateState::good) continue;  // its time has come, or the clock was set
    const LogField setting{"setting", one.certificate.setting};
    const LogField end{"not_after", date_text(one.certificate.not_after)};
    const bool crl = one.certificate.is_crl;
    if (state == CertificateState::revoked)
      m_log.error("certificate_revoked",
                  "a certificate of this daemon is revoked by its authority: whoever has that list refuses it",
                  {setting, {"alarm", "yes"}});
    else if (state == CertificateState::not_yet)
      m_log.error("certificate_not_yet",
                  crl ? "a list of revoked certificates is not valid yet: everybody is refused"
                      : "a certificate of this daemon is not valid yet: nobody accepts it",
                  {setting, {"not_before", date_text(one.certificate.not_before)}, {"alarm", "yes"}});
    else if (state == CertificateState::over)
      m_log.error("certificate_over",
                  crl ? "a list of revoked certificates is no longer valid: everybody is refused"
                      : "a certificate of this daemon is no longer valid: nobody accepts it",
                  {setting, end, {"alarm", "yes"}});
    else
      m_log.warning("certificate_ends_soon",
                    crl ? "a list of revoked certificates ends soon" : "a certificate of this daemon ends soon",
                    {setting, end});
  }
}

std::vector<control::CertificateStatus> CertificateWatch::status(WallTime now) const {
  std::vector<control::CertificateStatus> out;
  out.reserve(m_watched.size());
  for (const Watched& one : m_watched)
    out.push_back(certificate_status(one.certificate, now));
  return out;
}

}  // namespace quipu::service
