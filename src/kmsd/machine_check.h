// SPDX-License-Identifier: Apache-2.0
// What a configuration says about this machine (the store, the control socket, the entropy source), held against what
// is there.
#pragma once

#include "kmsd/configuration.h"
#include "kmsd/findings.h"

namespace quipu::kmsd {

// Takes the store keys out of `configuration`. Changes nothing: the daemon may be running. `reader` is whom it will run
// as, where that is known.
void check_machine(Configuration& configuration, const service::UnitUser* reader, Findings& out);

}  // namespace quipu::kmsd
