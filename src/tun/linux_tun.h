// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "tun/tun_device.h"

namespace quipu::tun {

struct TunOptions {
  std::string name;  // 1 to 15 characters; "%d" in it lets the kernel choose a number
  TunMode mode = TunMode::tun;
};

// Creates the interface, which lives as long as the returned device: it vanishes when the process ends, however it
// ends. The interface starts down and without addresses; src/netlink does the rest. Errc::not_permitted without
// CAP_NET_ADMIN, conflict when the name is taken, unavailable without the kernel's tun module, out_of_range for a name
// that the kernel cannot have. Each text says what to do.
Result<std::unique_ptr<TunDevice>> open_linux_tun(const TunOptions& options);

}  // namespace quipu::tun
