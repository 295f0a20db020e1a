// SPDX-License-Identifier: Apache-2.0
// Which store key a store is sealed with, and its change. Inside src/store only.
#pragma once

#include "store/database.h"
#include "store/sealer.h"

namespace quipu::store {

// Has the store sealed with the key of `current`, in one transaction: a new store is marked with it; in one that is
// sealed with that of `previous` (which may be null) every chunk's key is wrapped anew. True when it was. Errc::bad_key
// when neither key fits. An error leaves the store as it was.
Result<bool> seal_with(Database& database, Sealer& current, const Sealer* previous);

}  // namespace quipu::store
