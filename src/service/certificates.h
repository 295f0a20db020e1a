// SPDX-License-Identifier: Apache-2.0
// When the certificates of a daemon are valid, and its lists of revoked ones: that one ends is told in time for
// somebody to renew it.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "config/types.h"
#include "control/status.h"
#include "net/tls.h"

namespace quipu::service {

struct Certificate {
  std::string setting;  // the key of the configuration that names its file, "km_link.cert"
  WallTime not_before;  // the first second in which it is valid
  WallTime not_after;   // and the last
  config::Position position{};
  bool is_revoked = false;
  bool is_crl = false;  // no certificate, but the list of revoked ones that others are held against

  bool operator==(const Certificate&) const = default;
};

// What `files` name, as it was loaded: our certificate, and the list of revoked ones if there is one that ends.
void append_certificates(const config::TlsFiles& files, const net::TlsContext& loaded, std::vector<Certificate>& to);

control::CertificateStatus certificate_status(const Certificate& certificate, WallTime now);

// For `--check`: what is to be said of those that end soon. Errc::out_of_range names those that are not valid now.
Result<std::vector<std::string>> check_certificates(std::string_view configuration,
                                                    const std::vector<Certificate>& certificates, WallTime now);

class CertificateWatch {
 public:
  // `log` outlives this.
  explicit CertificateWatch(LogSink& log) : m_log(log) {}

  // Those in use from now on, in place of all others.
  void set(const std::vector<Certificate>& certificates);

  // Logs of each certificate once that it is not valid yet, once that it ends soon, and once that it is over.
  void check(WallTime now);

  std::vector<control::CertificateStatus> status(WallTime now) const;

 private:
  struct Watched {
    Certificate certificate;
    control::CertificateState told = control::CertificateState::good;
  };

  LogSink& m_log;
  std::vector<Watched> m_watched;
};

}  // namespace quipu::service
