// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "etsi/etsi014.h"

namespace quipu::etsi {

// What in a Status (clause 6.1) cannot be true together, or not of the pair that was asked about, a sentence each.
std::vector<std::string> contradictions_in(const Status& status, const SaeId& asked_slave);

}  // namespace quipu::etsi
