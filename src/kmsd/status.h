// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/kmsd_config.h"
#include "control/status.h"
#include "kms/relay/relay_status.h"
#include "kms/status.h"
#include "kmsd/links.h"

namespace quipu::kmsd {

// What the parts say of themselves.
struct Reports {
  std::string reason{};  // why the KME gives no keys at all
  std::vector<kms::PoolStatus> pools{};
  std::map<KmeId, std::string> attempts{};  // to have a KM link, see KmLinks
  std::map<std::string, LinkReport> links{};
  std::uint64_t requests = 0;
  std::map<unsigned, std::uint64_t> refused{};                 // by HTTP status
  std::map<std::string, std::uint64_t> refused_connections{};  // by listener
  std::uint64_t store_syncs = 0;
  Duration uptime{};
  std::vector<control::CertificateStatus> certificates{};
  std::optional<control::EntropyStatus> relay_entropy{};
  kms::RelayStatus relay{};
};

// `problem`: why it cannot be read; empty while it can.
control::EntropyStatus make_entropy_status(const kms::EntropyStatus& entropy, const std::string& source,
                                           const std::string& problem);

// What `quipu status` shows of this KME.
control::KmsStatus make_status(const config::KmsdConfig& config, const Reports& reports);
// What `quipu relay routes` shows of it.
control::RelayStatus make_relay_status(const KmeId& own, const kms::RelayStatus& relay,
                                       std::optional<control::EntropyStatus> entropy);

}  // namespace quipu::kmsd
