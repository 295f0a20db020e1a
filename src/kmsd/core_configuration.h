// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/kmsd_config.h"
#include "kms/kme.h"

namespace quipu::kmsd {

// What the core is built from.
kms::KmeConfig core_configuration(const config::KmsdConfig& from);

}  // namespace quipu::kmsd
