// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "driver/driver_host.h"
#include "quipu/driver.h"

namespace quipu::driver {

// Loads the shared object and checks ABI number and size before it reads anything else of it. Never unloaded: the
// plugin's threads end with the process. Errc::unsupported and malformed come with a sentence for the admin.
Result<const struct quipu_driver*> load_plugin(const std::string& path);

// What the driver declares, checked for contradictions.
Result<DriverIdentity> identify(const struct quipu_driver& driver);

}  // namespace quipu::driver
