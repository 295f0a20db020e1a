// SPDX-License-Identifier: Apache-2.0
// A network namespace for each site, joined by a bridge in one more: the outside network between the sites.
#pragma once

#include "cli/lab/state.h"

namespace quipu::cli::lab {

// `path_mtu`: of the network between the sites. Needs root; leaves what it made so far when it fails (remove_topology
// takes away whatever is there).
Result<void> make_topology(const Run& run, int path_mtu);
// What was never made is no error; a namespace that cannot be removed is.
Result<void> remove_topology(const Run& run);

}  // namespace quipu::cli::lab
