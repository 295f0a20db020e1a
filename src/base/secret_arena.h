// SPDX-License-Identifier: Apache-2.0
// The memory that key material lives in: slabs of 64 KiB between guard pages, locked against swapping, left out of core
// dumps, wiped when freed. One mutex; calls are a few tens of nanoseconds, so nothing on a per-packet path allocates
// here.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace quipu {

// Never returns null: running out of memory is fatal. size 0 yields a pointer that may only be freed.
[[nodiscard]] void* secret_allocate(std::size_t size);
// Wipes and frees. `size` is the size that was asked for.
void secret_free(void* memory, std::size_t size) noexcept;

// An error when any part of the arena could not be locked into memory. A daemon asks at start, and refuses to run: the
// text says which limit to raise. Allocates one slab if there is none yet, so that the answer means something. Once it
// has succeeded, memory that cannot be locked ends the process with a line on standard error: it would otherwise go on
// with keys where they can be swapped to disk.
Result<void> require_locked_secrets();

// Overwrites memory in a way that the compiler does not remove.
void wipe(void* memory, std::size_t size) noexcept;

}  // namespace quipu
