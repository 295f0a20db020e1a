// SPDX-License-Identifier: Apache-2.0
// Which store key a store is sealed with, and its change: the store is marked with both keys, then the keys of its
// chunks are wrapped anew, a part at a time, and then the mark of the previous key goes. Inside src/store only.
#pragma once

#include "store/database.h"
#include "store/sealer.h"

namespace quipu::store {

// Marks the store as sealed with the key of `sealer`, durably: a new store, or one that is sealed with its previous
// key. True when chunks may be left that the previous key has wrapped. Errc::bad_key when neither key fits, or a change
// was interrupted and one of its keys is missing. An error leaves the store as it was.
Result<bool> seal_with(Database& database, Sealer& sealer);

// Whether it would, without a change to the store.
Result<void> check_fits(Database& database, const Sealer& sealer);

// How far wrapping anew has come.
struct Rewrapped {
  std::int64_t row = 0;       // of the last chunk
  std::uint64_t damaged = 0;  // chunks that neither key opens; left as they are
  bool all = false;
};

// Some more, durably.
Result<void> rewrap_part(Database& database, Sealer& sealer, Rewrapped& progress);

// All are wrapped anew. Inside a transaction.
Result<void> unmark_previous(Database& database);

}  // namespace quipu::store
