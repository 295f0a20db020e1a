// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

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

// The same with so many queues, 1 at least. The kernel gives each flow to one queue: the one that its answers were
// written to. Each may have its own thread, and one that is closed leaves its flows to the others.
Result<std::vector<std::unique_ptr<TunDevice>>> open_linux_tun_queues(const TunOptions& options, std::size_t queues);

}  // namespace quipu::tun
