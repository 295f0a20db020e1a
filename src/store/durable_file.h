// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu::store {

// Makes the names in a file's folder durable.
Result<void> sync_directory_of(const std::string& path);

// Replaces a file so that, whatever happens, the old or the new contents stand there, and the new ones do when this
// returns: written beside it (mode 0600), synced, renamed, and the folder synced. Not for secrets.
Result<void> replace_file(const std::string& path, std::string_view contents);

}  // namespace quipu::store
