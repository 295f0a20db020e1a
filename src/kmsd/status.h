// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "config/kmsd_config.h"
#include "control/status.h"
#include "kms/status.h"
#include "kmsd/etsi_server.h"
#include "kmsd/links.h"

namespace quipu::kmsd {

// What `quipu status` shows of this KME, gathered from the parts.
control::KmsStatus make_status(const config::KmsdConfig& config, const std::vector<kms::PoolStatus>& pools,
                               const Links& links, const EtsiServer& etsi, Duration uptime);

}  // namespace quipu::kmsd
