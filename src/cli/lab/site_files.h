// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "cli/lab/state.h"

namespace quipu::cli::lab {

// What a tunnel's packets grow by at most, rounded up.
inline constexpr int kTunnelOverhead = 100;

struct LabOptions {
  int rekey_interval_s = 10;         // 1 to 3600
  std::uint64_t skr_bit_s = 100000;  // of each simulated link
  double qber = 0.019;
  std::uint64_t initial_bits = 1 << 20;  // stock that each simulated link delivers at once
  std::int64_t patience_s = 30;          // 1 to 3600: how long the first pings may take
  int path_mtu = 1500;                   // 1500 to 9216: of the network between the sites
};

// Keys, certificates and both configuration files of every site, as an admin would lay them out under /etc/quipu.
Result<void> write_site_files(const Run& run, const config::LabTopology& topology, const LabOptions& options);

}  // namespace quipu::cli::lab
