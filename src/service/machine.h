// SPDX-License-Identifier: Apache-2.0
// Tells a run of this machine from another: sessions and leases must not survive a reboot, a clone or a restored
// snapshot.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace quipu::service {

struct MachineState {
  Uuid boot_id;  // random at each boot (/proc/sys/kernel/random/boot_id)
  // How often the hypervisor announced a new generation of this machine (restored from a snapshot, or cloned) since the
  // first call of this process; absent where the kernel's announcements cannot be had.
  std::optional<std::uint64_t> vm_generation;

  bool operator==(const MachineState&) const = default;
};

// Cheap, never blocks; asked often and compared with the state at start. A difference means that every session
// key and lease of this process is void. One thread per process.
Result<MachineState> read_machine_state();

// Readable when there may be a difference; -1 where announcements cannot be had. Reading the state takes them in.
int machine_state_fd();

// Whether a message of the kernel's uevent socket announces a new generation (NEW_VMGENID=1 of the vmgenid driver).
bool announces_new_generation(std::string_view uevent);

}  // namespace quipu::service
