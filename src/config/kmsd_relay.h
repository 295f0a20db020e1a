// SPDX-License-Identifier: Apache-2.0
// [relay] of quipu-kmsd's configuration, and what a [[peer_kme]] has of relay. Inside src/config only.
#pragma once

#include "config/kmsd_config.h"
#include "config/section.h"

namespace quipu::config {

// Once the peers and their links are known. What is wrong is reported at its place.
void read_relay(const Section& root, KmsdConfig& config);

}  // namespace quipu::config
