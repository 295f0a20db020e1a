// SPDX-License-Identifier: Apache-2.0
// SQLite's own way to the disk, with a count of the calls that wait for it.
#pragma once

#include <cstdint>

namespace quipu::store {

// Name of the VFS to open a database with.
const char* counting_vfs();

// Files made durable (fsync or fdatasync) by this process through that VFS. Any thread.
std::uint64_t syncs_so_far();

}  // namespace quipu::store
