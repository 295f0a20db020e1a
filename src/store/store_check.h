// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace quipu::store {

// Whether these keys open the store at `path`, as SqliteStore::open() has them, without a change to it: nothing is
// written, locked or made, and a daemon that has it open goes on with it. A store that is not there yet is good,
// and one of an earlier version, which a start brings to today's. Reads a few pages, and no key material. Errors:
// Errc::bad_key, unsupported (of another program, or a later version), storage (damaged), not_permitted, io as open()
// has them; busy where that is what the file says, but there is a write-ahead log beside it, which may say something
// else: a daemon has the store open, or was killed.
Result<void> check_store(const std::string& path, Secret<32> store_key, std::optional<Secret<32>> previous_key);

}  // namespace quipu::store
