// SPDX-License-Identifier: Apache-2.0
// Asks a driver plugin about a link's configuration, in a process of its own as DriverHost would run it, without
// opening the device.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "driver/driver_host.h"

namespace quipu::driver {

struct CheckedDriver {
  DriverIdentity identity;
  // False: this driver checks its options only when it opens its device.
  bool options_checked = false;
};

// Why a link with this configuration cannot work.
struct CheckRefusal {
  enum class Part { driver, allow_simulated, options };

  Part part = Part::driver;
  std::optional<std::string> option;  // the key of the wrong one, where it is one of those given
  std::string reason;                 // for people
};

// Blocks until the driver has answered, for `timeout` at the most (the ABI gives the call a second). Of the
// configuration, what is about a running driver does not count.
std::expected<CheckedDriver, CheckRefusal> check_driver(const DriverHostConfig& config,
                                                        Duration timeout = std::chrono::seconds(10));

}  // namespace quipu::driver
