// SPDX-License-Identifier: Apache-2.0
// The [kms.NAME] tables of quipud's file. Inside src/config only.
#pragma once

#include <vector>

#include "config/quipud_config.h"
#include "config/section.h"

namespace quipu::config {

// `root` may have no [kms].
std::vector<KmsConfig> read_all_kms(const Section& root);

}  // namespace quipu::config
