// SPDX-License-Identifier: Apache-2.0
// When the certificates of a daemon end, told in time for somebody to renew them.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "config/types.h"
#include "control/status.h"

namespace quipu::service {

struct Certificate {
  std::string setting;  // the key of the configuration that names its file, "km_link.cert"
  WallTime not_after;   // the last second in which it is valid
  config::Position position{};
};

control::CertificateStatus certificate_status(const Certificate& certificate, WallTime now);

// For `--check`: what is to be said of those that end soon. Errc::expired names those that are over.
Result<std::vector<std::string>> check_certificates(std::string_view configuration,
                                                    const std::vector<Certificate>& certificates, WallTime now);

class CertificateWatch {
 public:
  // `log` outlives this.
  explicit CertificateWatch(LogSink& log) : m_log(log) {}

  // Those in use from now on, in place of all others.
  void set(const std::vector<Certificate>& certificates);

  // Logs of each certificate once that it ends soon, and once that it is over.
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
