// SPDX-License-Identifier: Apache-2.0
// Tells a run of this machine from another: sessions and leases must not survive a reboot, a clone or a restored
// snapshot.
#pragma once

#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace quipu::service {

struct MachineState {
  Uuid boot_id;  // random at each boot (/proc/sys/kernel/random/boot_id)
  // Changes when a hypervisor restored or cloned this machine; absent where it offers none. Opaque.
  std::optional<std::string> vm_generation;

  bool operator==(const MachineState&) const = default;
};

// Cheap (a few file reads); asked once a second and compared with the state at start. A difference means that every
// session key and lease of this process is void.
Result<MachineState> read_machine_state();

}  // namespace quipu::service
