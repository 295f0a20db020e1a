// SPDX-License-Identifier: Apache-2.0
// What `quipu kms test` says. Words of a server are shown as one line of printable ASCII, whatever is in them.
#pragma once

#include <string>
#include <vector>

#include "cli/verb.h"
#include "etsi/kme_probe.h"
#include "net/tls.h"

namespace quipu::cli {

// What was seen of one KME besides its answers.
struct TestedKme {
  std::string url;
  net::TlsAgreement tls = {};
  net::PeerIdentity certificate = {};
  std::size_t connections = 0;
  std::size_t answers = 0;
};

// Own KME first, then the other site's if it was asked.
std::string to_text(const std::vector<TestedKme>& kmes, const etsi::ProbeReport& report, WallTime now);
// One line.
std::string to_json(const std::vector<TestedKme>& kmes, const etsi::ProbeReport& report);
// ok, degraded: keys come and there is a fault, down: none come.
ExitCode judge(const etsi::ProbeReport& report);

}  // namespace quipu::cli
