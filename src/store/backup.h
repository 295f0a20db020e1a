// SPDX-License-Identifier: Apache-2.0
// A copy of the store without key material. Inside src/store only.
#pragma once

#include "store/database.h"

namespace quipu::store {

// Writes a store of its own to `path` (mode 0600; a file there is replaced), as of one moment: what `database` has but
// for material, leases and the mark of the store key. What could still be used counts as voided, or burnt where it was
// leased. Nobody has the store open when this returns. An error leaves no file.
Result<void> back_up(Database& database, const std::string& path);

}  // namespace quipu::store
