// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace CLI {
class App;
}

namespace quipu::cli {

// The option that says where a key goes; standard output when it is not given.
std::shared_ptr<std::string> add_key_output(CLI::App& verb);

// A key's line of base64, to a new file of mode 0600, or to standard output when `path` is empty. Standard output that
// is a file which others may read is warned about: the daemons refuse such key files.
Result<void> put_out_key(ByteView key, const std::string& path);

}  // namespace quipu::cli
