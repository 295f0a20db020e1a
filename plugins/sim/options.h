// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "base/ip.h"
#include "base/result.h"
#include "quipu/driver.h"

namespace quipu::sim {

enum class Role : std::uint8_t { alice, bob };

// The link.options of a simulated link. Both ends should have the same figures; Alice's rate and block size count.
struct SimOptions {
  Role role = Role::alice;
  Endpoint fibre;                 // where the emulated fibre listens: Alice binds it (port 0: any), Bob connects to it
  double skr_bit_s = 100'000;     // mean secret key rate, 1 to 10^9
  double qber = 0.019;            // mean QBER, 0 to 0.1
  double loss_db = 4.0;           // shown, without influence
  double initial_bits = 262'144;  // distilled before the link was started, so that both ends have a stock at once
  std::size_t block_octets = 4096;  // 32 to 16320
};

// Every key of the configuration, each at most once. The text names the key and what it may be.
Result<SimOptions> parse_options(std::span<const struct quipu_option> options);

}  // namespace quipu::sim
