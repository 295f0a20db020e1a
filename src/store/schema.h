// SPDX-License-Identifier: Apache-2.0
// The tables, and how older ones become today's. Inside src/store only.
#pragma once

#include "store/database.h"

namespace quipu::store {

// Reads all of the file but the audit log, and proves that SQLite can: Errc::storage when it is damaged. The audit log
// may be many times the rest, and a start needs its newest page alone; damage in it shows where it is read.
Result<void> check(Database& database);

// Whether it is of today's version; false for an earlier one, and for an empty file. Errc::unsupported for a
// store of a later version, and for a database of another program.
Result<bool> is_current(Database& database);

// Brings a store of any earlier version, or an empty file, to today's, in one transaction. Errors as of is_current();
// nothing is changed then.
Result<void> migrate(Database& database);

}  // namespace quipu::store
